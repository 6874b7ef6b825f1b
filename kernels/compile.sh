#!/usr/bin/env bash
# Makes gather_pad.ptx and gather_pad.fatbin from gather_pad.cu, here or in the folder that is given instead, with the compiler
# of requirements.txt in a virtual environment of its own. `--assemble` also assembles the PTX for each generation, by the
# assemblers of the oldest and of the newest drivers, and fails where one of them refuses it or registers spill.
#
#   kernels/compile.sh [--assemble] [FOLDER]
set -euo pipefail
kernels="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
environment="$kernels/../.venv-kernels"
assemble=false
if [[ "${1:-}" == --assemble ]]; then
    assemble=true
    shift
fi
folder="$(realpath -m "${1:-$kernels}")"
target="$folder/gather_pad.ptx"

# The stamp is newer than the requirements, or the environment is made afresh. Two at once would spoil it for each other.
exec 9<"$kernels/requirements.txt"
flock 9
machine_code="$environment/machine-code"
if [[ ! "$environment/.installed" -nt "$kernels/requirements.txt" || ! "$environment/.installed" -nt "$kernels/machine-code.txt" ]]; then
    rm -rf "$environment"
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r "$kernels/requirements.txt"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$machine_code" -r "$kernels/machine-code.txt"
    touch "$environment/.installed"
fi
packages="$(echo "$environment"/lib/python*/site-packages/nvidia)"

# The lowest generation whose PTX all later ones take. nvcc writes the newest PTX version, which older drivers refuse; what the
# kernel uses is all in 7.4, which the drivers of CUDA 11.4 and later read.
compile() {
    (cd "$kernels" && "$packages/cu13/bin/nvcc" -ptx -arch="compute_$1" -std=c++17 -O3 gather_pad.cu -o "$3.new")
    sed -i "s/^\.version .*/.version $2/" "$3.new"
    mv "$3.new" "$3"
}
compile 80 7.4 "$target"

# Machine code of each generation, which a driver loads as it is. Names without a folder, so that none gets into the files. From 9.0
# on there are instructions that the PTX for all cannot have.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
images=()
cp "$target" "$work/sm_80.ptx"
compile 90 8.0 "$work/sm_90.ptx"
cp "$work/sm_90.ptx" "$work/sm_100.ptx"
for generation in 80 90 100; do
    (cd "$work" && "$machine_code/nvidia/cuda_nvcc/bin/ptxas" -arch="sm_$generation" "sm_$generation.ptx" -o "sm_$generation.cubin")
    images+=("--image3=kind=elf,sm=$generation,file=sm_$generation.cubin")
done
(cd "$work" && "$packages/cu13/bin/fatbinary" --64 --compress-mode=none "${images[@]}" --create=gather_pad.fatbin)
mv "$work/gather_pad.fatbin" "$folder/gather_pad.fatbin"

# Assembles for a generation, with the assembler of a CUDA version, and says what came of it.
assemble() {
    local cuda="$1" assembler="$2" generation="$3" source="$target" said kernels spilling registers
    # The oldest one is for drivers that compile the PTX for all.
    [[ "$cuda" == 12.0 ]] || source="$work/$generation.ptx"
    said="$("$assembler" -v -arch="$generation" "$source" -o /dev/null 2>&1)" || {
        echo "$said" >&2
        return 1
    }
    kernels="$(grep -c 'Used [0-9]* registers' <<<"$said" || true)"
    spilling="$(grep 'bytes stack frame' <<<"$said" | grep -vc '\<0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads' || true)"
    registers="$(sed -n 's/.*Used \([0-9]*\) registers.*/\1/p' <<<"$said" | sort -n)"
    if [[ "$spilling" != 0 ]]; then
        echo "$said" >&2
        echo "CUDA $cuda, $generation: registers spill" >&2
        return 1
    fi
    echo "CUDA $cuda, $generation: $kernels kernels without spills, $(head -n 1 <<<"$registers") to $(tail -n 1 <<<"$registers") registers"
}

if $assemble; then
    for generation in sm_80 sm_90; do
        assemble 12.0 "$packages/cuda_nvcc/bin/ptxas" "$generation"
    done
    for generation in sm_80 sm_90 sm_100; do
        assemble 12.8 "$machine_code/nvidia/cuda_nvcc/bin/ptxas" "$generation"
    done
    for generation in sm_80 sm_90 sm_100; do
        assemble 13.0 "$packages/cu13/bin/ptxas" "$generation"
    done
fi
