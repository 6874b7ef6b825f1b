"""Dockerfile.cuda without an engine: linted, and its steps done by hand.

What `COPY . .` takes goes into a folder of its own, by .dockerignore, and what the stages run is run here; where their base is
Python, in a virtual environment that has nothing else. The program that the last stage copies is then started as its ENTRYPOINT
says, and the package that it installs builds and opens the same day, both as its user, with nothing of CUDA around.

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

# The day that the program has built in the folder where this runs, by the package: the manifest's hash is that of every byte.
PACKAGE = """
import shardback
tables = ("impressions", "clicks", "add_to_carts", "previous_orders")
paths = {table: f"demo-out/tables/{table}" for table in tables}
manifests = shardback.build(**paths, date="2025-08-16", formats="jagged", out="by-package")
day = shardback.open("by-package")["2025-08-16"]
assert [day.manifest] == manifests and day.manifest.hash == shardback.open("demo-out/jagged")[day.date].manifest.hash
actions, action_types = day.dense(range(len(day)))
assert actions.shape == action_types.shape == (len(day), 1000) and (action_types != 0).sum() == day.column("history_length").sum() > 0
print(shardback.__file__)
"""


def instructions(text):
    """The instructions of a Dockerfile as (word, rest), comments aside."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in "\n".join(lines).replace("\\\n", " ").splitlines()]


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


def commands(stage):
    """What a stage runs. None of it may need root, or anything that is not here: so there is no `apt-get`."""
    return [rest for word, rest in stage if word == "RUN"]


def copies(stage):
    """What a stage takes from others: where it is there, and where it goes."""
    taken = [rest.split() for word, rest in stage if word == "COPY" and rest.startswith("--from=")]
    return [(Path(source), Path(place)) for _, source, place in taken]


def copy_context(folder):
    """What `COPY . .` puts into the image: the files of git that .dockerignore lets through, with their times."""
    shutil.rmtree(folder, ignore_errors=True)
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in kept) and (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def as_tests_are_compiled(stage):
    """The instructions of a stage, without optimization."""
    assert any("--release" in rest for _, rest in stage)
    return [(word, rest.replace("--release", "--profile dev")) for word, rest in stage]


def run(command, user=None, **options):
    """A command's exit code and what it said."""
    switch = {"user": user, "group": user, "extra_groups": []} if user and os.getuid() == 0 else {}
    done = subprocess.run(command, capture_output=True, text=True, **switch, **options)
    return done.returncode, done.stdout, done.stderr


def python_for(user):
    """A Python of this machine that the user may start: ours may lie in somebody's home."""
    for python in (Path(sys.base_prefix, "bin", "python3"), shutil.which("python3", path=os.defpath)):
        try:
            if python and run([python, "-c", "import ensurepip"], user)[0] == 0:
                return python
        except PermissionError:
            continue
    raise SystemExit(f"no Python with `venv` that user {user} may start")


def environment(folder, python):
    """A virtual environment with nothing in it; its folder of programs."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    return folder / "bin"


def do(stage, cwd, path, **variables):
    """Runs what a stage runs, with programs looked for in `path` first."""
    for command in commands(stage):
        variables = os.environ | {"PATH": f"{path}:{os.environ['PATH']}", **variables}
        subprocess.run(command, shell=True, cwd=cwd, check=True, env=variables)


def main():
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target").resolve()
    code, said, problem = run(["hadolint", str(ROOT / "Dockerfile.cuda")])
    assert code == 0, said + problem

    parsed = stages((ROOT / "Dockerfile.cuda").read_text())
    # Always the same place: what has not changed since the last time is not compiled again.
    build = target / "image"
    copy_context(build)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        folder.chmod(0o755)
        tools = environment(folder / "tools", sys.executable)
        do(parsed["tools"], folder, tools)
        # What is looked at here is not how fast the program is: it is made of the libraries that the tests have compiled already.
        do(as_tests_are_compiled(parsed["build"]), build, tools, CARGO_TARGET_DIR=str(target))
        use(parsed["last"], folder, {"/build/target/release": target / "debug", "/build": build})
    print("Dockerfile.cuda: linted, its steps done by hand; the program and the package run as its user without CUDA")


def use(stage, folder, built):
    """Fills a folder with what the last stage copies, as if it were the root of the image, and uses it."""
    last = dict(stage)
    user = int(last["USER"].split(":")[0])
    assert user != 0, "it runs as root"
    image = folder / "image"
    for source, place in copies(stage):
        at = next(here / source.relative_to(there) for there, here in built.items() if source.is_relative_to(there))
        place = image / place.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if at.is_dir() else shutil.copy2)(at, place)
    python = environment(folder / "python", python_for(user))
    installing = [("RUN", command.replace("/wheels", str(image / "wheels"))) for command in commands(stage)]
    do(installing, folder, python)

    data = folder / "data"
    data.mkdir()
    data.chmod(0o777)
    programs = image / "usr/local/bin"
    variables = {"PATH": f"{programs}:{python}"} | dict(word.split("=", 1) for word in last["ENV"].split())
    entry, command = json.loads(last["ENTRYPOINT"]), json.loads(last["CMD"])
    start = lambda *words: run([shutil.which(words[0], path=variables["PATH"]), *words[1:]], user, cwd=data, env=variables)

    code, said, problem = start(*entry, *command)
    assert code == 0 and "Usage: shardback" in said, said + problem
    code, said, problem = start(*entry, "demo")
    assert code == 0 and "device cpu (auto" in said, said + problem
    tables = data / "demo-out" / "tables"
    words = ["build", "--impressions", tables / "impressions", "--clicks", tables / "clicks", "--date", "2025-08-16", "--out"]
    code, said, problem = start(*entry, *map(str, words), "on-cuda", "--formats", "dense", "--device", "cuda")
    assert (code, "device cuda" in said) == (0, True) or "error: no CUDA device can be used: " in problem, said + problem
    code, said, problem = start("python", "-c", PACKAGE)
    assert code == 0 and said.startswith(str(folder / "python")), said + problem
    for library in [programs / "shardback", *folder.glob("python/lib/*/site-packages/shardback/_native*.so")]:
        linked = run(["ldd", str(library)])[1]
        assert linked and "cuda" not in linked, linked


if __name__ == "__main__":
    main()
