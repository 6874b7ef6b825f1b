"""A real browser shows the page of `shardback report`: all of it, light, dark and on paper, and has nothing to complain about."""

import os
import re
import shutil
import struct
import subprocess
import zlib

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@pytest.fixture(scope="module")
def browser():
    """Chromium or Chrome, also by the variable SHARDBACK_BROWSER."""
    found = os.environ.get("SHARDBACK_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"there is no browser: none of {', '.join(NAMES)} is on the path; on Debian: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def page(program, built, tmp_path_factory):
    """The page about the days of the sample."""
    file = tmp_path_factory.mktemp("report") / "report.html"
    subprocess.run([program, "report", built, "--to", file, "--quiet"], check=True)
    return file


def show(browser, page, folder, *arguments):
    """Opens the page without network; gives what the browser prints, and what it logs of the page."""
    # A sandbox needs rights that containers do not give; the page is ours and has no script.
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]
    alone = ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder / 'profile'}", "--no-first-run"]
    command = [browser, *quiet, *alone, *arguments, page.as_uri()]
    done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True, env={**os.environ, "HOME": str(folder)})
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def pixels(file):
    """The colours of a PNG of 8 bits, row by row."""
    data = file.read_bytes()
    place, body = 8, b""
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        chunk = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height, depth, form = struct.unpack(">IIBB", chunk[:10])
        if kind == b"IDAT":
            body += chunk
        place += 12 + length
    step = {2: 3, 6: 4}[form]
    assert depth == 8
    raw, size = zlib.decompress(body), width * step
    rows, above = [], bytearray(size)
    for start in range(0, height * (size + 1), size + 1):
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + size])
        for at in range(size):
            left = row[at - step] if at >= step else 0
            up, corner = above[at], above[at - step] if at >= step else 0
            if kind == 1:
                row[at] = (row[at] + left) & 255
            elif kind == 2:
                row[at] = (row[at] + up) & 255
            elif kind == 3:
                row[at] = (row[at] + (left + up) // 2) & 255
            elif kind == 4:
                near = min((abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner))
                row[at] = (row[at] + near[2]) & 255
        rows.append([tuple(row[at : at + 3]) for at in range(0, size, step)])
        above = row
    return rows


def test_the_browser_shows_all_of_it(browser, page, tmp_path):
    dom, console = show(browser, page, tmp_path, "--dump-dom")
    assert console == []
    text = page.read_text()
    # What the browser made of it has every element that was written: none was dropped or moved as wrong.
    for element in ("section", "table", "caption", "svg", "rect", "td", "th", "title", "li"):
        assert len(re.findall(f"<{element}[ >]", dom)) == len(re.findall(f"<{element}[ >]", text)), element
    for day in ("2025-08-14", "2025-08-15", "2025-08-16"):
        assert f'<th scope="row">{day}</th>' in dom


@pytest.mark.parametrize(("scheme", "paper", "bar"), [("light", (255, 255, 255), (47, 111, 179)), ("dark", (20, 23, 27), (106, 165, 232))])
def test_it_is_light_or_dark_as_the_reader_likes(browser, page, tmp_path, scheme, paper, bar):
    picture = tmp_path / "page.png"
    settings = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    _, console = show(browser, page, tmp_path, settings, "--window-size=500,700", f"--screenshot={picture}")
    assert console == []
    rows = pixels(picture)
    colours = [colour for row in rows for colour in row]
    assert rows[0][0] == paper and rows[-1][-1] == paper
    assert colours.count(bar) > 500, "there are bars"


def test_it_can_be_printed(browser, page, tmp_path):
    paper = tmp_path / "page.pdf"
    _, console = show(browser, page, tmp_path, f"--print-to-pdf={paper}")
    assert console == []
    assert paper.read_bytes().startswith(b"%PDF")


def test_the_console_would_be_heard(browser, page, tmp_path):
    """The tests above see what a page does wrong: here it asks for a picture, which its own policy forbids."""
    wrong = tmp_path / "wrong.html"
    wrong.write_text(page.read_text().replace("<main>", '<main><img src="http://example.invalid/x.png">'))
    _, console = show(browser, wrong, tmp_path, "--dump-dom")
    assert console != []
