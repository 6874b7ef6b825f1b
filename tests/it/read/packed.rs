//! Packed text: what stands behind the end of a gzip file, and content that is not what its name says.

use shardback::read::Projection;
use shardback::schema::{Compression, Source};

use super::{LINE, Table, click_batch, clicks, gzip, parquet_bytes, zstandard};

fn error(name: &str, content: &[u8]) -> String {
    Table::new().file(name, content).error(clicks())
}

/// Members follow one another, also within a line; zeros behind them fill a block and are no data; anything else is an error,
/// as what has been lost there is not known.
#[test]
fn what_follows_a_gzip_stream() {
    let (first, second) = LINE.split_at(20);
    let members = [gzip(first.as_bytes()), gzip(second.as_bytes()), gzip(format!("\n{LINE}").as_bytes())].concat();
    for behind in [vec![], vec![0], vec![0; 100_000]] {
        let content = [members.clone(), behind].concat();
        assert_eq!(Table::new().file("a.json.gz", &content).rows(clicks()).len(), 2);
    }
    for behind in [b"garbage".to_vec(), [vec![0; 50_000], vec![1]].concat(), vec![b'\n']] {
        let content = [gzip(LINE.as_bytes()), behind].concat();
        let expected = "clicks: cannot decompress `TABLE/a.json.gz`: data behind the end of the gzip stream";
        assert_eq!(error("a.json.gz", &content), expected);
    }
    let whole = gzip(LINE.as_bytes());
    assert!(error("a.json.gz", &whole[..whole.len() - 3]).starts_with("clicks: cannot decompress `TABLE/a.json.gz`: "));
    assert!(error("a.json.gz", b"no gzip file at all").ends_with("invalid gzip header"));
}

/// A name that ends in `.gz` says that once.
#[test]
fn what_is_packed_twice_is_named() {
    let expected = "clicks: cannot decompress `TABLE/a.json.gz`: it is packed twice; unpack it once";
    assert_eq!(error("a.json.gz", &gzip(&gzip(LINE.as_bytes()))), expected);
    assert_eq!(error("a.json.gz", &gzip(&zstandard(LINE.as_bytes()))), expected);
}

/// Whoever exports to UTF-16, or forgets a suffix, is told so.
#[test]
fn content_that_is_not_what_the_name_says_is_named() {
    let utf16 = |text: &str, mark: &[u16]| {
        let units = mark.iter().copied().chain(text.encode_utf16());
        (
            units.clone().flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
            units.flat_map(u16::to_be_bytes).collect::<Vec<u8>>(),
        )
    };
    let csv = "dt,customer_id,item_id,click_time\n2025-08-15,1,2,t\n";
    for (name, text) in [("a.json", LINE), ("a.csv", csv)] {
        let (little, big) = utf16(text, &[0xfeff]);
        for content in [little, big] {
            let expected = format!(
                "clicks: cannot read `TABLE/{name}`: it is UTF-16; convert it to UTF-8 (`iconv -f UTF-16 -t UTF-8`)"
            );
            assert_eq!(error(name, &content), expected);
            assert!(error(&format!("{name}.gz"), &gzip(&content)).ends_with("(`iconv -f UTF-16 -t UTF-8`)"));
        }
        let (little, big) = utf16(text, &[]);
        for content in [little, big] {
            let expected = format!(
                "clicks: cannot read `TABLE/{name}`: it holds zero bytes: it is UTF-16 or no text; convert it to UTF-8"
            );
            assert_eq!(error(name, &content), expected);
        }
        // What is packed is unpacked, unless it is said to be not packed.
        let unpacked = Source { compression: Some(Compression::None), ..Source::default() };
        for (content, said) in [
            (gzip(text.as_bytes()), "gzip; let its name end with .gz"),
            (zstandard(text.as_bytes()), "zstd; let its name end with .zst"),
        ] {
            let table = Table::new().file(name, content);
            assert_eq!(table.rows(clicks()).len(), 1);
            let wanted = Projection { source: unpacked.clone(), ..clicks() };
            assert_eq!(table.error(wanted), format!("clicks: cannot read `TABLE/{name}`: its content is {said}"));
        }
        let expected =
            format!("clicks: cannot read `TABLE/{name}`: its content is Parquet; let its name end with .parquet");
        assert_eq!(error(name, &parquet_bytes(&click_batch(1), 1)), expected);
    }
}
