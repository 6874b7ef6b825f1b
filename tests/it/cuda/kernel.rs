//! The kernel's own source, as C++ under the address and undefined-behaviour sanitizers, against the processor's gather.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use shardback::event::ItemDtype;
use shardback::gather::cuda::resident_bytes;

use super::compile;
use super::jagged::{Jagged, as_written};

/// One call of the kernel.
struct Case {
    /// As in `KERNELS` of `kernel.cpp`: stored items, written items, written types.
    kernel: usize,
    jagged: Jagged,
    /// Row numbers, or the first so many rows in order.
    numbers: Result<Vec<i64>, usize>,
    /// K, which may be less than that of the rows.
    history: usize,
    /// Elements between a multiple of 16 bytes and the padded columns.
    shift: usize,
    /// Rows of a tile.
    tile: usize,
    /// Actions before those of the rows: their starts are so much larger.
    before: usize,
}

impl Case {
    fn random(random: &mut Xoshiro256PlusPlus, kernel: usize) -> Self {
        let rows = random.random_range(0..40);
        let longest = [1, 3, 8, 17, 40, 100, 1000][random.random_range(0..7)];
        let jagged = Jagged::random(random, rows, longest);
        // Now and then a number that is no row.
        let number = |random: &mut Xoshiro256PlusPlus| match random.random_range(0..20) {
            0 => -1,
            1 => rows as i64,
            _ => random.random_range(0..=rows as i64),
        };
        let numbers = match random.random_range(0..2) {
            0 => Err(random.random_range(0..=rows)),
            _ => Ok((0..random.random_range(0..50)).map(|_| number(random)).collect()),
        };
        let history = if random.random_bool(0.5) { jagged.history } else { random.random_range(1..=longest + 5) };
        // Now and then starts that 32 bits do not hold.
        let before = if random.random_ratio(1, 10) { (1 << 32) + random.random_range(0..16) } else { 0 };
        let (shift, tile) = (random.random_range(0..16), [1, 2, 7, 8, 40, 256][random.random_range(0..6)]);
        Self { kernel, jagged, numbers, history, shift, tile, before }
    }

    fn numbers(&self) -> Vec<i64> {
        self.numbers.clone().unwrap_or_else(|count| (0..count as i64).collect())
    }

    /// What `kernel.cpp` reads.
    fn input(&self) -> Vec<u8> {
        let Jagged { items, types, starts, lengths, item_ids, is_order, .. } = &self.jagged;
        let header = [
            self.kernel,
            items.len(),
            starts.len(),
            self.numbers().len(),
            self.history,
            usize::from(self.numbers.is_ok()),
            self.shift,
            self.tile,
            self.before,
        ];
        let header = header.map(|number| number as i64);
        let stored = self.kernel / 4 == 1;
        let numbers = self.numbers.clone().unwrap_or_default();
        let columns: [&[u8]; 8] = [
            bytemuck::cast_slice(&header),
            &as_written(items, stored),
            types,
            bytemuck::cast_slice(starts),
            bytemuck::cast_slice(lengths),
            &as_written(item_ids, stored),
            is_order,
            bytemuck::cast_slice(&numbers),
        ];
        columns.concat()
    }

    /// What it has to write.
    fn expected(&self) -> Vec<u8> {
        let (wide, types_as_items) = (self.kernel / 2 % 2 == 1, self.kernel % 2 == 1);
        self.jagged.batch(&self.numbers(), self.history, wide, types_as_items).concat()
    }
}

/// Runs cases in one process; the sizes of the kernel's constants and structs, and the batches.
fn run(cases: &[Case]) -> ([i64; 5], Vec<u8>) {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let mut command = Command::new(PROGRAM.get_or_init(|| compile("kernel.cpp", "gather-pad", &sanitizers)));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let input: Vec<u8> = cases.iter().flat_map(Case::input).collect();
    let mut stdin = child.stdin.take().unwrap();
    // A kernel that is stopped leaves the rest unread; what it said is then below.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let written = writer.join().unwrap();
    assert!(output.status.success() && written.is_ok(), "{}", String::from_utf8_lossy(&output.stderr));
    let (sizes, batches) = output.stdout.split_at(40);
    (bytemuck::pod_read_unaligned(sizes), batches.to_vec())
}

/// Any lengths, starts, K, dtypes, alignments, and row numbers: what the kernel writes is what the processor does, all of it and
/// nothing beside it. Starts may have more than 32 bits.
#[test]
fn the_kernel_pads_as_the_processor() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    let cases: Vec<Case> = (0..800).map(|case| Case::random(&mut random, case % 8)).collect();
    let (_, batches) = run(&cases);
    let mut rest = batches.as_slice();
    for (place, case) in cases.iter().enumerate() {
        let expected = case.expected();
        let (batch, behind) = rest.split_at_checked(expected.len()).unwrap_or_else(|| panic!("case {place} is short"));
        let (kernel, history, shift) = (case.kernel, case.history, case.shift);
        let different = batch.iter().zip(&expected).position(|(found, expected)| found != expected);
        assert_eq!(different, None, "case {place}: kernel {kernel}, K {history}, shift {shift}");
        rest = behind;
    }
    assert!(rest.is_empty());
    let padded: usize = cases.iter().map(|case| case.numbers().len() * case.history).sum();
    assert!(padded > 500_000, "the cases are too small to tell: {padded} values");
}

/// The kernel's structs and its block are what `src/gather/cuda/enabled/kernel.rs` says.
#[test]
fn both_sides_agree_on_sizes() {
    let twin = include_str!("../../../src/gather/cuda/enabled/kernel.rs");
    let ([threads, source, batch, narrow_row, wide_row], _) = run(&[]);
    assert!(twin.contains(&format!("const THREADS: u32 = {threads};")));
    let fields = |name: &str| {
        let body = twin.split(&format!("struct {name} {{")).nth(1).unwrap().split('}').next().unwrap();
        body.lines().filter(|line| line.contains(": u64") || line.contains(": i64")).count() as i64
    };
    assert_eq!((fields("Source") * 8, fields("Batch") * 8), (source, batch));
    assert_eq!(resident_bytes(ItemDtype::I32, 1 << 20, 0), (narrow_row << 20).cast_unsigned());
    assert_eq!(resident_bytes(ItemDtype::I64, 1 << 20, 0), (wide_row << 20).cast_unsigned());
}
