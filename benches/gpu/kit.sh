#!/usr/bin/env bash
# Builds target/gpu-kit.tar.gz: all that a machine with a GPU needs to check and measure the CUDA path, also one without Rust, without
# a network, and with an older system. What it does there says checks.sh, which is in it.
#
#   benches/gpu/kit.sh          then, there:    tar -xzf gpu-kit.tar.gz && gpu-kit/checks.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target="${CARGO_TARGET_DIR:-target}"
kit="$target/gpu-kit"
rm -rf "$kit"
mkdir -p "$kit/kernels" "$kit/wheel"

cargo build --release --locked --features cuda
bench="$(cargo bench --features cuda --bench cuda --no-run --message-format=json | python3 -c '
import json, sys
built = [message for message in map(json.loads, sys.stdin) if message.get("executable")]
print(next(message["executable"] for message in built if message["target"]["name"] == "cuda"))')"
[[ -x "$target/gpu-kit-venv/bin/maturin" ]] || {
    "${PYTHON:-python3}" -m venv "$target/gpu-kit-venv"
    "$target/gpu-kit-venv/bin/python" -m pip install --quiet --disable-pip-version-check maturin==1.16.0
}
"$target/gpu-kit-venv/bin/maturin" build --release --locked --strip --manifest-path python/Cargo.toml --out "$kit/wheel"
strip -o "$kit/shardback" "$target/release/shardback"
strip -o "$kit/cuda-bench" "$bench"

# The kernel as it is, and with other numbers of loads under way and of blocks at once.
kernels/compile.sh "$kit/kernels"
packages="$(echo .venv-kernels/lib/python*/site-packages/nvidia)"
generations=()
for generation in 80 90 100; do
    generations+=(-gencode "arch=compute_$generation,code=sm_$generation")
done
for variant in "1 8" "4 4"; do
    read -r packs blocks <<<"$variant"
    "$packages/cu13/bin/nvcc" -fatbin -std=c++17 -O3 "${generations[@]}" -DPACKS_IN_FLIGHT="$packs" -DBLOCKS_AT_ONCE="$blocks" \
        kernels/gather_pad.cu -o "$kit/kernels/packs_${packs}_blocks_$blocks.fatbin"
done

cp benches/gpu/checks.sh benches/gpu/variants.py "$kit"
mkdir -p "$kit/python/tests" "$kit/python/examples" "$kit/benches"
cp benches/loader_gpu.py "$kit/benches"
cp python/tests/conftest.py python/tests/test_gpu.py "$kit/python/tests"
cp python/examples/*.py "$kit/python/examples"
tar -C "$target" -czf "$target/gpu-kit.tar.gz" gpu-kit
du -h "$target/gpu-kit.tar.gz"
