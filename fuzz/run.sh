#!/usr/bin/env bash
# Runs each fuzz target for some seconds, from seeds: the bundled tables, good and bad. What is found stays in fuzz/corpus for the next
# run, what fails in fuzz/artifacts. `fuzz/run.sh SECONDS [TARGET…]`; needs cargo-fuzz.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds="$1"
shift
targets=("$@")
[[ ${#targets[@]} -gt 0 ]] || targets=(json csv parquet arrow day shuffle)

if ! cargo fuzz --version > /dev/null 2>&1; then
    echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2
    exit 1
fi
# Coverage and the address sanitizer are options that the stable compiler has and does not offer.
export RUSTC_BOOTSTRAP=1
# Targets write each table to a file: in memory where that can be.
[[ -w /dev/shm ]] && export TMPDIR=/dev/shm

# A file as a seed stands behind a `=` (see src/lib.rs).
seeds() {
    local target="$1" number=0
    shift
    mkdir -p "corpus/$target"
    while IFS= read -r -d '' file; do
        { printf '='; head -c 65536 "$file"; } > "corpus/$target/seed-$number"
        number=$((number + 1))
    done < <(find ../data -type f \( "$@" \) -print0 | sort -z)
}
seeds json -name '*.json' -o -name '*.jsonl' -o -name '*.ndjson'
seeds csv -name '*.csv'
seeds parquet -name '*.parquet'

status=0
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    echo "== $target"
    cargo fuzz run "$target" "corpus/$target" -- -max_total_time="$seconds" -timeout=30 -rss_limit_mb=4096 \
        -max_len=70000 -len_control=20 -dict=tables.dict -print_final_stats=1 -verbosity=0 || status=1
done
exit "$status"
