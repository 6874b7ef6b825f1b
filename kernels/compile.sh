#!/usr/bin/env bash
# Makes gather_pad.ptx from gather_pad.cu, or a .ptx at the path that is given instead, with the compiler of requirements.txt
# in a virtual environment of its own. `--assemble` also assembles it for each generation and fails where registers spill.
#
#   kernels/compile.sh [--assemble] [TARGET]
set -euo pipefail
kernels="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
environment="$kernels/../.venv-kernels"
assemble=false
if [[ "${1:-}" == --assemble ]]; then
    assemble=true
    shift
fi
target="$(realpath -m "${1:-$kernels/gather_pad.ptx}")"

# The stamp is newer than the requirements, or the environment is made afresh. Two at once would spoil it for each other.
exec 9<"$kernels/requirements.txt"
flock 9
if [[ ! "$environment/.installed" -nt "$kernels/requirements.txt" ]]; then
    rm -rf "$environment"
    "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r "$kernels/requirements.txt"
    touch "$environment/.installed"
fi
toolkit="$(echo "$environment"/lib/python*/site-packages/nvidia/cu13)"

# The lowest generation whose PTX all later ones take. nvcc writes the newest PTX version, which older drivers refuse; what the
# kernel uses is all in 7.4, which the drivers of CUDA 11.4 and later read.
(cd "$kernels" && "$toolkit/bin/nvcc" -ptx -arch=compute_80 -std=c++17 -O3 gather_pad.cu -o "$target.new")
sed -i 's/^\.version .*/.version 7.4/' "$target.new"
mv "$target.new" "$target"

if $assemble; then
    for generation in sm_80 sm_90 sm_100; do
        said="$("$toolkit/bin/ptxas" -v -arch="$generation" "$target" -o /dev/null 2>&1)"
        echo "$said" | sed -n "s/^ptxas info *: \(Used.*registers\).*/$generation: \1/p"
        if echo "$said" | grep -Eq '[1-9][0-9]* bytes (stack frame|spill)'; then
            echo "$said"
            echo "$generation: registers spill" >&2
            exit 1
        fi
    done
fi
