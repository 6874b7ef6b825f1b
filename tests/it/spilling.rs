//! Protects: histories do not depend on what was spilled, whatever the tables and wherever memory runs out.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use shardback::config::{Options, Plan};
use shardback::event::{Action, Day, HashRange, NULL_TIME, Sample};
use shardback::fsio::SpillFolder;
use shardback::histories::{Budget, Customers, Histories, Input, Samples, Spool, Spooled};
use shardback::pack::Packed;
use tempfile::TempDir;

const BUCKETS: u32 = 3;
const FIRST: i32 = 20_000;
const DAYS: i32 = 3;
const MIB: u64 = 1 << 20;
/// Of this much memory there are some 68 MiB for data.
const MEMORY: u64 = 176 * MIB;
/// Room to work on these buckets, yet so little that it is not given to finished pieces.
const TO_WORK: u64 = 16 * MIB;

/// An action before it is known whether its customer matters: customer, days back, time, item, kind.
type Row = (i64, i32, Option<i64>, i32, u8);

fn row() -> impl Strategy<Value = Row> {
    let kind = 1_u8..=3;
    (0..8i64, -DAYS..12i32, option::weighted(0.9, -9..9i64), 0..5i32, kind)
}

/// Where memory ends: the bytes that are left for the samples, then for the actions, and then to work on them.
#[derive(Clone, Copy)]
struct Left {
    samples: u64,
    actions: u64,
    working: u64,
}

/// A day's rows as they come out: customer, item, label, and the history's items, types and newest time.
type OfDay = Vec<(i64, i32, u8, Vec<i32>, Vec<u8>, i64)>;

/// What histories hold, and whether samples, actions and pieces were spilled.
fn histories(plan: &Plan, samples: &[(Sample<i32>, u8)], rows: &[Row], left: Left) -> (Vec<OfDay>, [bool; 3]) {
    let folder = TempDir::new().unwrap();
    let folder = &SpillFolder::new(folder.path());
    let budget = &Budget::new(Some(MEMORY), 1).unwrap();
    let samples = leaving(budget, left.samples, || {
        let (samples, labels): (Vec<_>, Vec<_>) = samples.iter().copied().unzip();
        spool(budget, folder, Packed::new(&samples, &labels, 1).unwrap(), |one| {
            HashRange::WHOLE.bucket(one.customer(), BUCKETS)
        })
    });
    let samples_spilled = samples.is_spilled();
    let customers = &Customers::new(&samples, HashRange::WHOLE, BUCKETS, budget).unwrap();
    let samples = Samples::new(samples, customers, plan, budget).unwrap();
    let actions: Vec<Action<i32>> = rows
        .iter()
        .filter_map(|&(customer, back, time, item, kind)| {
            let time = time.map_or(NULL_TIME, |tick| Day(FIRST - back).midnight() + tick);
            Some(Action::new(customers.place(customer)?, Day(FIRST - back), time, item, kind))
        })
        .collect();
    let bucket = |action: &Action<i32>| customers.bucket(action.customer());
    let actions =
        leaving(budget, left.actions, || spool(budget, folder, Packed::new(&actions, &[], 0).unwrap(), bucket));
    let (actions_spilled, before) = (actions.is_spilled(), folder.bytes());
    let input = Input { samples, actions, customers, plan, folder };
    let days = leaving(budget, left.working, || {
        let histories = Histories::new(&input, budget, &|_| Ok(())).unwrap();
        (0..plan.days().len()).map(|day| of_day(&histories, day)).collect()
    });
    (days, [samples_spilled, actions_spilled, folder.bytes() > before])
}

/// Does something while of the budget no more than so many bytes are left.
fn leaving<T>(budget: &Budget, bytes: u64, work: impl FnOnce() -> T) -> T {
    let taken = budget.left().saturating_sub(bytes);
    budget.need(taken).unwrap();
    let result = work();
    budget.give_back(taken);
    result
}

/// Spools records a few at a time, as tables come in chunks.
fn spool<'a, T: bytemuck::Pod + Send + Sync>(
    budget: &'a Budget,
    folder: &'a SpillFolder,
    records: Packed<'_, T>,
    bucket: impl Fn(&T) -> u32,
) -> Spooled<'a, T> {
    let spool = Spool::new(BUCKETS, records.width(), budget, folder);
    for chunk in records.chunks(8) {
        spool.push(chunk, &bucket).unwrap();
    }
    spool.finish(u64::MAX).unwrap()
}

fn of_day(histories: &Histories<'_, i32>, day: usize) -> OfDay {
    let mut rows = Vec::new();
    for piece in 0..histories.pieces(day) {
        let piece = histories.piece(day, piece).unwrap();
        let mut start = 0;
        for request in &piece.requests {
            let (items, types) = piece.values.history(&request.window()).unwrap();
            for row in start..request.end as usize {
                let newest = request.newest;
                rows.push((
                    request.customer,
                    piece.items[row],
                    piece.columns[0][row],
                    items.to_vec(),
                    types.to_vec(),
                    newest,
                ));
            }
            start = request.end as usize;
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_the_same_wherever_memory_runs_out(
        samples in vec((0..DAYS as u32, 0..8i64, 0..4i32, any::<bool>()), 1..60),
        rows in vec(row(), 0..200),
        history in 1..20usize,
        lookback in option::of(1..10u32),
    ) {
        let options = Options {
            history,
            lookback_days: lookback,
            ..Options::new("", Day(FIRST), Day(FIRST + DAYS - 1))
        };
        let plan = Plan::new(options).unwrap();
        let samples: Vec<_> = samples.into_iter().map(|(day, customer, item, label)| (Sample::new(day, customer, item), u8::from(label))).collect();
        let roomy = Left { samples: u64::MAX, actions: u64::MAX, working: u64::MAX };
        let (expected, spilled) = histories(&plan, &samples, &rows, roomy);
        prop_assert_eq!(spilled, [false; 3]);
        // Room for a chunk or two, so that most chunks make those before them spill.
        let few = 1 << 9;
        let tight = Left { samples: few, actions: few, working: TO_WORK };
        let (found, spilled) = histories(&plan, &samples, &rows, tight);
        prop_assert_eq!(&found, &expected);
        let more_than_few = |records: usize, bytes: usize| (records * bytes) as u64 > few;
        let matter = |row: &&Row| samples.iter().any(|(sample, _)| sample.customer() == row.0);
        let actions = rows.iter().filter(matter).count();
        prop_assert!(spilled[0] || !more_than_few(samples.len(), size_of::<Sample<i32>>()));
        prop_assert!(spilled[1] || !more_than_few(actions, size_of::<Action<i32>>()));
        prop_assert!(spilled[2]);
    }
}
