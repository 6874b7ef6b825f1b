//! The header of a safetensors shard, read: the figures in its `__metadata__` fix every other byte of it, so the check is to read
//! the figures, print the header that they ask for, and compare.

use serde_json::{Map, Value};

use super::wrong_history;
use crate::config::Format;
use crate::error::Result;
use crate::event::{Day, ItemDtype};
use crate::layout::{ALIGNMENT, Dtype, Header, ITEM, LENGTH_BYTES, METADATA, Stored, Tensor, wrong_version};
use crate::manifest::is_hash;
use crate::schema::Contents;

/// Longer than any header of this format: what says more is not read.
const LONGEST_HEADER: u64 = 1 << 20;

impl Header {
    /// What differs between this, which is expected, and `found`; how much is stored once is not compared.
    pub(crate) fn difference(&self, found: &Self) -> Option<String> {
        let differs = |name: &str, found: String, expected: String| {
            (found != expected).then(|| format!("its header says {name} {found}, the manifest says {expected}"))
        };
        differs("format", found.format.name().to_owned(), self.format.name().to_owned())
            .or_else(|| differs("dt", found.day.to_string(), self.day.to_string()))
            .or_else(|| differs("history", found.history.to_string(), self.history.to_string()))
            .or_else(|| {
                (self.contents != found.contents).then(|| "its header has other columns than the manifest".to_owned())
            })
            .or_else(|| differs("item dtype", found.item_dtype.name().to_owned(), self.item_dtype.name().to_owned()))
            .or_else(|| differs("shard", found.shard.to_string(), self.shard.to_string()))
            .or_else(|| differs("shards", found.shards.to_string(), self.shards.to_string()))
            .or_else(|| differs("rows", found.rows.to_string(), self.rows.to_string()))
            // As many rows as there should be, of another build.
            .or_else(|| differs("content", found.content.clone(), self.content.clone()))
    }

    /// Reads the figures; which layout they ask for is compared later.
    fn read(header: &Map<String, Value>) -> Result<Self, String> {
        let text = |name: &str| {
            header
                .get(METADATA)
                .and_then(|metadata| metadata.get(name))
                .and_then(Value::as_str)
                .ok_or_else(|| format!("its header has no `{name}` in `{METADATA}`"))
        };
        let number = |name: &str| {
            let text = text(name)?;
            text.parse::<u64>().map_err(|_| format!("`{name}` in its header is not a number: {text}"))
        };
        let small =
            |name: &str| u32::try_from(number(name)?).map_err(|_| format!("`{name}` in its header is too large"));
        let format = match text("format")? {
            "shardback.dense" => Format::Dense,
            "shardback.jagged" => Format::Jagged,
            other => return Err(format!("unknown format in its header: {other}")),
        };
        let version = number("version")?;
        wrong_version(version).map_or(Ok(()), Err)?;
        let dt = text("dt")?;
        let history = number("history")?;
        wrong_history(history).map_or(Ok(()), |problem| Err(format!("in its header {problem}")))?;
        let item = header.get(ITEM).and_then(|tensor| tensor.get("dtype")).and_then(Value::as_str);
        let item_dtype =
            [ItemDtype::I32, ItemDtype::I64].into_iter().find(|&dtype| item == Some(Dtype::from(dtype).name()));
        Ok(Self {
            format,
            day: Day::parse(dt.as_bytes())
                .ok_or_else(|| format!("`dt` in its header cannot be parsed as a day: {dt}"))?,
            history,
            shard: small("shard")?,
            shards: small("shards")?,
            rows: number("rows")?,
            stored: match format {
                Format::Jagged => Some(Stored { requests: number("requests")?, actions: number("actions")? }),
                Format::Dense | Format::Parquet => None,
            },
            content: Some(text("content")?)
                .filter(|content| is_hash(content))
                .ok_or("`content` in its header is not a hash")?
                .to_owned(),
            contents: read_contents(text("contents")?)?,
            item_dtype: item_dtype.ok_or_else(|| {
                let found = item.unwrap_or("missing");
                format!("`{ITEM}` in its header is {found}, expected I32 or I64")
            })?,
        })
    }
}

fn read_contents(text: &str) -> Result<Contents, String> {
    let contents: Contents =
        serde_json::from_str(text).map_err(|error| format!("`contents` in its header cannot be read: {error}"))?;
    contents.problem().map_or(Ok(contents), |problem| Err(format!("`contents` in its header: {problem}")))
}

/// Checks the header and the length of a file; the ranges of its tensors are those in the file.
pub(super) fn parse(file: &[u8]) -> Result<(Header, Vec<Tensor>), String> {
    let length = file.first_chunk::<LENGTH_BYTES>().map(|bytes| u64::from_le_bytes(*bytes));
    let length = length.ok_or_else(|| format!("it has {} bytes, too few for a header", file.len()))?;
    if length > LONGEST_HEADER {
        return Err(format!("its header says to be {length} bytes long, more than any shard's"));
    }
    let data = LENGTH_BYTES + length as usize;
    let text = file
        .get(LENGTH_BYTES..data)
        .ok_or_else(|| format!("it is cut off: it ends in its header, at {}", file.len()))?;
    if !data.is_multiple_of(ALIGNMENT) {
        return Err(format!("its data begins at {data}, not on a multiple of {ALIGNMENT}"));
    }
    let found: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| format!("its header is not a JSON object: {error}"))?;
    let header = Header::read(&found)?;
    let mut tensors = header.tensors().ok_or("its header says more than a file can hold")?;
    let expected = header.json(&tensors).map_err(|error| error.to_string())?;
    for (name, entry) in &expected {
        let found = found.get(name).unwrap_or(&Value::Null);
        if found != entry {
            return Err(format!("`{name}` in its header is {found}, expected {entry}"));
        }
    }
    let canonical = Value::Object(expected).to_string();
    let rest = text.strip_prefix(canonical.as_bytes());
    if rest.is_none_or(|padding| padding.len() >= ALIGNMENT || padding.iter().any(|&byte| byte != b' ')) {
        return Err(format!("its header is not in canonical form, which is: {canonical}"));
    }
    let data = data as u64;
    let end = tensors.last().map_or(0, |tensor| tensor.range.end).checked_add(data);
    if end != Some(file.len() as u64) {
        let end = end.map_or_else(|| "more than fit a file".to_owned(), |end| end.to_string());
        return Err(format!("it has {} bytes, its header asks for {end}", file.len()));
    }
    for Tensor { range, .. } in &mut tensors {
        *range = range.start + data..range.end + data;
    }
    Ok((header, tensors))
}
