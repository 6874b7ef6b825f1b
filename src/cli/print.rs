//! What the program says. A reader who has heard enough (`| head`) closes the pipe, which is no fault.

use std::io::{self, ErrorKind, Write};

/// Writes to stdout.
pub(super) fn out(text: &str) -> anyhow::Result<()> {
    write(&mut io::stdout().lock(), text).map_err(|error| anyhow::Error::new(error).context("cannot write to stdout"))
}

/// Writes a line to stderr. Where that fails nobody is left to be told.
pub(super) fn err(line: &str) {
    let _ = write(&mut io::stderr().lock(), &format!("{line}\n"));
}

fn write(stream: &mut impl Write, text: &str) -> io::Result<()> {
    match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
