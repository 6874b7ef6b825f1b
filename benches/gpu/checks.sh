#!/usr/bin/env bash
# Checks and measures the CUDA path on a machine with a GPU, in less than 8 minutes; each step has a limit of its own, and those
# that come last are left out when time is up. Needs Python 3.11 or later with PyTorch for CUDA, numpy, pyarrow and pytest; nothing is
# installed, and nothing is fetched.
#
#   checks.sh [FOLDER]          the whole log is FOLDER/all.log; FOLDER is the current one if not given
#   checks.sh FOLDER STEP…      only these steps; `files` needs `tables`
#
# It ends with code 0 if every step that checks something has passed.
set -u
kit="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
out="$(realpath "${1:-.}")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
log="$out/all.log"
: >"$log"
python3 -m zipfile -e "$kit"/wheel/*.whl "$work/site"
export PYTHONPATH="$work/site" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CUDA_CACHE_PATH="$work/cache" PATH="$kit:$PATH"
chmod +x "$kit/shardback" "$kit/cuda-bench"
# Where the driver's libraries are mounted but not known to the loader.
for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
    [[ -e "$folder/libcuda.so.1" ]] && export LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
done
failed=()
only=("${@:2}")

wanted() {
    ((${#only[@]} == 0)) || [[ " ${only[*]} " == *" $1 "* ]]
}

# step NAME SECONDS LINES COMMAND…: the whole of what it says goes to the log, its last lines here.
step() {
    local name="$1" limit="$2" lines="$3" begun=$SECONDS code=0
    shift 3
    wanted "$name" || return 0
    echo "=== $name" >>"$log"
    timeout --kill-after=5 "$limit" "$@" >"$work/step" 2>&1 || code=$?
    cat "$work/step" >>"$log"
    printf '== %-10s code %d, %d s (at %d s)\n' "$name" "$code" $((SECONDS - begun)) "$SECONDS"
    tail -n "$lines" "$work/step"
    ((code == 0)) || failed+=("$name")
}

# For steps that may be left out: only if that many seconds are left of the 8 minutes.
time_for() {
    wanted "$2" || return 1
    ((SECONDS + $1 <= 475)) || { echo "== left out, for want of time: $2"; return 1; }
}

machine() {
    nvidia-smi
    python3 -c 'import torch; print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.get_device_name())'
    ldd --version | head -n 1
    nproc
    free -g | head -n 2
}

tables() {
    shardback generate "$work/tables" --customers 3000 --mean-actions 300 --days 20 --impression-days 3 --rows-per-day 1000 --quiet
}

# The program on the device and on the processor: the same files, to the byte.
files() {
    local more device tables="$work/tables"
    for more in "" "--history 333 --item-dtype i64" "--history 7"; do
        for device in cpu cuda; do
            rm -rf "$work/files-$device"
            # shellcheck disable=SC2086 -- options are words
            shardback build --impressions "$tables/impressions" --clicks "$tables/clicks" --add-to-carts "$tables/add_to_carts" \
                --previous-orders "$tables/previous_orders" --date 2025-08-16 --formats dense --device "$device" --out "$work/files-$device" $more |
                grep '^device' || return 1
        done
        diff -r -x _run.json "$work/files-cpu" "$work/files-cuda" || return 1
    done
    echo "the same files"
}

train() {
    (cd "$kit/python/examples" && python3 train.py --work "$work/train" "$@")
}

stop_and_resume() {
    train --checkpoint "$work/run.pt" --stop-after 100 && train --checkpoint "$work/run.pt" | tee "$work/resumed" &&
        grep -q 'history: goes on in epoch' "$work/resumed"
}

export kit work
export -f tables files train stop_and_resume
step machine 30 8 bash -c "$(declare -f machine); machine"
step check 60 6 cuda-bench --check
step tables 30 1 bash -c tables
step files 45 2 bash -c files
step variants 75 40 python3 "$kit/variants.py" "$kit"/kernels/*.fatbin "$kit/kernels/gather_pad.ptx"
step loader 150 6 python3 -m pytest -q -p no:cacheprovider --rootdir "$kit/python/tests" "$kit/python/tests/test_gpu.py"
time_for 60 train && step train 60 6 bash -c 'train --baseline'
time_for 100 bench && step bench 100 60 cuda-bench
time_for 60 loader-speed && step loader-speed 60 20 python3 "$kit/benches/loader_gpu.py" --rows 300000
time_for 40 resume && step resume 60 3 bash -c stop_and_resume
sanitizer="$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)"
if [[ -n "$sanitizer" ]]; then
    for tool in memcheck initcheck; do
        time_for 45 "$tool" && step "$tool" 90 3 "$sanitizer" --tool "$tool" --error-exitcode 9 "$kit/cuda-bench" --check small
    done
else
    echo "== no compute-sanitizer here: memcheck and initcheck are left out"
fi
if command -v ncu >/dev/null && time_for 40 ncu; then
    step ncu 60 70 ncu --clock-control none --section SpeedOfLight --section WarpStateStats --section Occupancy -k regex:gather_pad -c 3 \
        python3 "$kit/variants.py" --once "$kit/kernels/gather_pad.fatbin"
fi
echo "all: $SECONDS s; failed: ${#failed[@]}${failed[*]:+: ${failed[*]}}"
exit $((${#failed[@]} > 0))
