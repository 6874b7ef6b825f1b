"""Dockerfile.cuda without an engine: linted, and its steps done by hand.

What `COPY . .` takes goes into a folder of its own, by .dockerignore; what the build stage runs is run there; and the program
that the last stage copies is started as its ENTRYPOINT says, as its user, with nothing of CUDA around.

`by_hand.py [TARGET]`: cargo's target folder, where it should not be the repository's.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def instructions(text):
    """The instructions of a Dockerfile as (word, rest), comments aside."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def stages(text):
    """The instructions of each stage, by its name; the last one is called `last` where it has none."""
    found = {}
    for word, rest in instructions(text):
        if word == "FROM":
            base, *name = rest.split(" AS ")
            assert ":" in base and not base.endswith(":latest"), f"{base} is not pinned"
            stage = found.setdefault(name[0] if name else "last", [])
        stage.append((word, rest))
    return found


def copy_context(folder):
    """What `COPY . .` puts into the image: the files of git that .dockerignore lets through, with their times."""
    shutil.rmtree(folder, ignore_errors=True)
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in kept) and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def run(command, user=None, **options):
    """A command's exit code and what it said."""
    switch = {"user": user, "group": user, "extra_groups": []} if user and os.getuid() == 0 else {}
    done = subprocess.run(command, capture_output=True, text=True, **switch, **options)
    return done.returncode, done.stdout, done.stderr


def main():
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target").resolve()
    code, said, problem = run(["hadolint", str(ROOT / "Dockerfile.cuda")])
    assert code == 0, said + problem

    parsed = stages((ROOT / "Dockerfile.cuda").read_text())
    last = dict(parsed["last"])
    # Always the same place: what has not changed since the last time is not compiled again.
    build = target / "image"
    copy_context(build)
    for word, command in parsed["build"]:
        if word == "RUN":
            subprocess.run(command, shell=True, cwd=build, check=True, env=os.environ | {"CARGO_TARGET_DIR": str(target)})
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        source, place = last["COPY"].removeprefix("--from=build ").split()
        program = folder / Path(place).name
        shutil.copy2(target / Path(source).relative_to("/build/target"), program)

        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        data.chmod(0o777)
        user = int(last["USER"].split(":")[0])
        assert user != 0, "it runs as root"
        environment = {"PATH": str(folder)} | dict(word.split("=", 1) for word in last["ENV"].split())
        entry, command = json.loads(last["ENTRYPOINT"]), json.loads(last["CMD"])
        start = lambda *words: run([shutil.which(entry[0], path=str(folder)), *entry[1:], *words], user, cwd=data, env=environment)

        code, said, problem = start(*command)
        assert code == 0 and "Usage: shardback" in said, said + problem
        code, said, problem = start("demo")
        assert code == 0 and "device cpu (auto" in said, said + problem
        tables = data / "demo-out" / "tables"
        build_words = ["build", "--impressions", tables / "impressions", "--clicks", tables / "clicks", "--date", "2025-08-16", "--out"]
        code, said, problem = start(*map(str, build_words), "on-cuda", "--format", "dense", "--device", "cuda")
        assert (code, "device cuda" in said) == (0, True) or "error: no CUDA device can be used: " in problem, said + problem
        linked = run(["ldd", str(program)])[1]
        assert "cuda" not in linked, linked
    print("Dockerfile.cuda: linted, its steps done by hand, and the program runs as its user without CUDA")


if __name__ == "__main__":
    main()
