//! What each preset makes of its example, by hand.
//!
//! Customers are in the order of splitmix64 of their ids, computed apart from this program, as are the hashes: `xxhsum -H3`.

use super::{Example, Number, Request, Sample, Seen};
use shardback::event::Day;

use Number::{Bool, F32, I32, I64, U8};

const YES: Number = Bool(true);
const NO: Number = Bool(false);

pub(super) fn all() -> Vec<Example> {
    vec![mind(), kuairand(), otto(), ebnerd(), retailrocket(), taobao(), trivago(), yambda()]
}

fn request<const N: usize, const M: usize>(
    customer: i64,
    id: Option<i64>,
    history: [Seen; N],
    samples: [Sample; M],
) -> Request {
    Request { customer, time: None, id, history: history.to_vec(), samples: samples.to_vec() }
}

fn seen<const N: usize>(item: i64, kind: u8, micros: i64, features: [Number; N]) -> Seen {
    Seen { item, kind, time: Some(micros), features: features.to_vec() }
}

fn sample<const N: usize, const M: usize>(item: i64, labels: [Number; N], kept: [Number; M]) -> Sample {
    Sample { item, labels: labels.to_vec(), kept: kept.to_vec() }
}

/// Microseconds of a date and hours, minutes and seconds, UTC.
fn at(date: &str, [hour, minute, second]: [i64; 3]) -> i64 {
    Day::parse(date.as_bytes()).unwrap().midnight() + ((hour * 60 + minute) * 60 + second) * 1_000_000
}

/// Odd: no header, tabs, American times with AM and PM, a slate as text, an impression without labels (as all are in the test set).
fn mind() -> Example {
    const U13740: i64 = 7_333_096_532_050_712_269;
    const U91836: i64 = 1_630_774_305_674_175_650;
    const N55689: i64 = -6_456_087_996_523_781_249;
    const N35729: i64 = 4_870_656_137_307_902_817;
    const N19347: i64 = 3_221_845_327_459_945_850;
    const N61837: i64 = 1_761_842_596_574_558_824;
    const N20678: i64 = -1_302_530_051_397_502_077;
    const N39317: i64 = 8_034_765_010_742_102_629;
    // Noon is after nine, and ten past midnight is not.
    let clicks = [
        seen(N35729, 1, at("2019-11-11", [12, 10, 0]), []),
        seen(N55689, 1, at("2019-11-11", [9, 5, 58]), []),
        seen(N61837, 1, at("2019-11-11", [0, 10, 0]), []),
    ];
    Example {
        name: "mind",
        description: include_str!("../../../presets/mind.toml"),
        files: &[("behaviors.tsv", include_str!("mind/behaviors.tsv"))],
        file_for_each_table: false,
        is_parquet: false,
        date: "2019-11-12",
        requests: vec![
            request(U91836, Some(6), [], [sample(N39317, [YES], [I32(0)]), sample(N20678, [NO], [I32(1)])]),
            request(U13740, Some(5), clicks.clone(), [sample(N55689, [NO], [I32(0)]), sample(N19347, [YES], [I32(1)])]),
            request(U13740, Some(7), clicks, [sample(N35729, [NO], [I32(0)])]),
        ],
        // `N20678` says neither `-0` nor `-1`.
        bad: vec![(0, 0, 7)],
    }
}

/// Odd: samples and actions in the same rows, days eight hours ahead of UTC, one time for many rows, rows that are there twice.
fn kuairand() -> Example {
    // 12:30 on the 21st, midnight of the 22nd, and a second before midnight of the 23rd, in China.
    let (first, second, last) = (1_650_515_400_000_000, 1_650_556_800_000_000, 1_650_643_199_000_000);
    let again = sample(7, [NO, NO, NO, NO, I32(0)], [NO, U8(1), I32(50_000)]);
    Example {
        name: "kuairand",
        description: include_str!("../../../presets/kuairand.toml"),
        files: &[
            ("log_standard_4_08_to_4_21_pure.csv", include_str!("kuairand/log_standard_4_08_to_4_21_pure.csv")),
            ("log_standard_4_22_to_5_08_pure.csv", include_str!("kuairand/log_standard_4_22_to_5_08_pure.csv")),
            ("log_random_4_22_to_5_08_pure.csv", include_str!("kuairand/log_random_4_22_to_5_08_pure.csv")),
        ],
        file_for_each_table: false,
        is_parquet: false,
        date: "2022-04-23",
        requests: vec![
            request(1, None, [], [sample(7, [NO, NO, NO, YES, I32(100)], [NO, U8(4), I32(50_000)])]),
            request(
                0,
                None,
                [
                    seen(11, 2, last, [I32(60_123)]),
                    seen(12, 1, last, [I32(700)]),
                    seen(9, 1, second, [I32(3_000)]),
                    seen(7, 3, first, [I32(45_000)]),
                    seen(7, 2, first, [I32(45_000)]),
                    seen(7, 1, first, [I32(45_000)]),
                ],
                [
                    again.clone(),
                    again,
                    sample(9, [YES, NO, YES, NO, I32(5_000)], [NO, U8(1), I32(20_000)]),
                    sample(13, [NO, NO, NO, NO, I32(1)], [YES, U8(2), I32(1_000)]),
                ],
            ),
        ],
        bad: vec![],
    }
}

/// Odd: a line is a session, its events are a list, and they are samples and actions both; a session without events.
fn otto() -> Example {
    let ms = |millis: i64| millis * 1_000;
    Example {
        name: "otto",
        description: include_str!("../../../presets/otto.toml"),
        files: &[("sessions.jsonl", include_str!("otto/sessions.jsonl"))],
        file_for_each_table: false,
        is_parquet: false,
        date: "2022-08-02",
        requests: vec![
            request(
                4,
                None,
                [
                    seen(613_493, 3, ms(1_659_304_900_000), []),
                    seen(613_493, 1, ms(1_659_304_900_000), []),
                    seen(1_228_848, 1, ms(1_659_304_900_000), []),
                ],
                [sample(613_493, [YES, NO, NO], [I32(3)])],
            ),
            request(1, None, [], [sample(424_964, [NO, YES, NO], [I32(0)])]),
            // A millisecond before midnight in Germany, and at midnight: 22:00 in UTC.
            request(
                0,
                None,
                [seen(1_563_459, 2, ms(1_659_391_199_999), []), seen(1_517_085, 1, ms(1_659_304_800_025), [])],
                [sample(1_309_446, [YES, NO, NO], [I32(2)]), sample(16_246, [NO, NO, YES], [I32(3)])],
            ),
        ],
        bad: vec![],
    }
}

/// Odd: what was clicked on is a list beside the list of what was shown; the history is four lists side by side; nulls among what is
/// measured, and nothing in view.
fn ebnerd() -> Example {
    let history = [
        seen(9_774_516, 1, at("2023-05-21", [21, 6, 50]), [F32(16.0), F32(27.0)]),
        seen(9_735_311, 1, at("2023-05-17", [23, 59, 59]), [F32(4.0), F32(35.0)]),
        seen(9_738_569, 1, at("2023-04-27", [10, 18, 50]), [F32(12.5), F32(0.0)]),
        seen(9_738_663, 1, at("2023-04-27", [10, 17, 43]), [F32(17.0), F32(100.0)]),
    ];
    let (phone, tablet, desktop) = ([U8(2), NO], [U8(3), NO], [U8(1), YES]);
    Example {
        name: "ebnerd",
        description: include_str!("../../../presets/ebnerd.toml"),
        files: &[
            ("samples.jsonl", include_str!("ebnerd/behaviors.jsonl")),
            ("clicks.jsonl", include_str!("ebnerd/behaviors.jsonl")),
            ("history.jsonl", include_str!("ebnerd/history.jsonl")),
        ],
        file_for_each_table: true,
        is_parquet: true,
        date: "2023-05-24",
        requests: vec![
            request(
                22_779,
                Some(155_390),
                history.clone(),
                [sample(9_777_856, [YES], phone), sample(9_778_369, [YES], phone)],
            ),
            request(22_779, Some(214_681), history, [sample(9_776_406, [NO], tablet), sample(9_776_715, [NO], tablet)]),
            request(
                150_224,
                Some(152_513),
                [seen(9_776_566, 1, at("2023-05-23", [5, 25, 40]), [F32(0.0), F32(0.0)])],
                [sample(9_778_623, [NO], desktop), sample(9_778_669, [YES], desktop), sample(9_778_736, [NO], desktop)],
            ),
        ],
        bad: vec![],
    }
}

/// Odd: one table for everything, unsorted, with empty fields; two items of one basket at one time.
fn retailrocket() -> Example {
    let ms = |millis: i64| millis * 1_000;
    let no_basket = [I32(-1)];
    Example {
        name: "retailrocket",
        description: include_str!("../../../presets/retailrocket.toml"),
        files: &[("events.csv", include_str!("retailrocket/events.csv"))],
        file_for_each_table: false,
        is_parquet: false,
        date: "2015-06-02",
        requests: vec![
            request(
                992_329,
                None,
                [
                    seen(248_676, 2, ms(1_433_203_199_999), no_basket),
                    seen(248_676, 1, ms(1_433_138_400_000), no_basket),
                ],
                [sample(248_676, [YES, NO, NO], [])],
            ),
            request(
                257_597,
                None,
                [
                    seen(10_572, 3, ms(1_433_134_920_000), [I32(4_000)]),
                    seen(355_908, 3, ms(1_433_134_920_000), [I32(4_000)]),
                    seen(355_908, 2, ms(1_433_134_860_000), no_basket),
                    seen(355_908, 1, ms(1_433_134_800_000), no_basket),
                ],
                [
                    sample(15_335, [YES, NO, NO], []),
                    sample(355_908, [NO, NO, YES], []),
                    sample(355_908, [YES, NO, NO], []),
                ],
            ),
            request(111_016, None, [], [sample(318_965, [NO, YES, NO], [])]),
        ],
        bad: vec![],
    }
}

/// Odd: no header, days of China, times in 1902 and 2037, a row that is there twice.
fn taobao() -> Example {
    let s = |seconds: i64| seconds * 1_000_000;
    let first = seen(2_268_318, 1, s(1_511_544_070), [I32(2_520_377)]);
    Example {
        name: "taobao",
        description: include_str!("../../../presets/taobao.toml"),
        files: &[("UserBehavior.csv", include_str!("taobao/UserBehavior.csv"))],
        file_for_each_table: false,
        is_parquet: false,
        date: "2017-12-01",
        requests: vec![
            request(
                100,
                None,
                [],
                [sample(2_951_368, [NO, NO], [I32(1_080_785)]), sample(4_365_585, [NO, NO], [I32(2_520_377)])],
            ),
            request(
                1,
                None,
                [
                    seen(2_576_651, 3, s(1_512_057_599), [I32(149_192)]),
                    seen(2_333_346, 1, s(1_511_561_733), [I32(2_520_771)]),
                    first.clone(),
                    first,
                ],
                [sample(3_830_808, [NO, YES], [I32(4_181_361)]), sample(4_365_585, [NO, NO], [I32(2_520_377)])],
            ),
        ],
        bad: vec![],
    }
}

/// Odd: quoted fields, two lists as text, a reference that is a hotel or a text, two clickouts of one session.
fn trivago() -> Example {
    const SYDNEY: i64 = -7_457_436_731_220_231_934;
    const BRAZIL: i64 = 7_328_450_711_712_847_865;
    const DESKTOP: i64 = 3_184_507_911_304_682_195;
    const TABLET: i64 = 674_595_424_331_102_739;
    let s = |seconds: i64| seconds * 1_000_000;
    let image = seen(666_856, 2, s(1_541_037_522), []);
    let kept = |place: i32, price: f32, step: i32| [I32(place), F32(price), I32(step), I64(DESKTOP)];
    Example {
        name: "trivago",
        description: include_str!("../../../presets/trivago.toml"),
        files: &[("train.csv", include_str!("trivago/train.csv"))],
        file_for_each_table: false,
        is_parquet: false,
        date: "2018-11-02",
        requests: vec![
            request(
                BRAZIL,
                Some(-7_338_022_258_216_191_892),
                [seen(5_001, 6, s(1_541_116_799), [])],
                [sample(5_001, [YES], [I32(0), F32(80.0), I32(3), I64(TABLET)])],
            ),
            request(
                SYDNEY,
                Some(3_372_964_503_162_537_368),
                [seen(109_038, 1, s(1_541_038_485), []), image.clone(), image, seen(109_038, 3, s(1_541_037_522), [])],
                [
                    sample(65_685, [NO], kept(0, 162.0, 3)),
                    sample(65_685, [YES], kept(0, 162.0, 4)),
                    sample(1_320_460, [NO], kept(1, 25.0, 3)),
                    sample(1_320_460, [NO], kept(1, 25.0, 4)),
                    sample(1_257_342, [YES], kept(2, 150.0, 3)),
                ],
            ),
        ],
        // The image of `unknown`.
        bad: vec![(1, 0, 4)],
    }
}

/// Odd: seconds from the start of the log, rounded to five; a file for each type, of which one has a column more.
fn yambda() -> Example {
    let s = |seconds: i64| seconds * 1_000_000;
    Example {
        name: "yambda",
        description: include_str!("../../../presets/yambda.toml"),
        files: &[
            ("samples.jsonl", include_str!("yambda/listens.jsonl")),
            ("listens.jsonl", include_str!("yambda/listens.jsonl")),
            ("likes.jsonl", include_str!("yambda/likes.jsonl")),
            ("dislikes.jsonl", include_str!("yambda/dislikes.jsonl")),
            ("unlikes.jsonl", include_str!("yambda/unlikes.jsonl")),
            ("undislikes.jsonl", include_str!("yambda/undislikes.jsonl")),
        ],
        file_for_each_table: true,
        is_parquet: true,
        date: "1970-01-03",
        requests: vec![
            request(
                100,
                None,
                [
                    seen(6, 2, s(172_795), [NO, I32(0)]),
                    seen(6, 1, s(172_795), [NO, I32(100)]),
                    seen(5, 4, s(86_410), [YES, I32(0)]),
                    seen(5, 2, s(86_400), [YES, I32(0)]),
                    seen(6, 1, s(86_400), [NO, I32(12)]),
                    seen(5, 1, s(86_395), [YES, I32(105)]),
                ],
                [sample(5, [YES], [YES, I32(210)]), sample(7, [NO], [YES, I32(240)])],
            ),
            request(
                200,
                None,
                [
                    seen(7, 5, s(86_400), [YES, I32(0)]),
                    seen(7, 3, s(0), [NO, I32(0)]),
                    seen(9_400_000, 1, s(0), [YES, I32(100)]),
                ],
                [sample(7, [NO], [NO, I32(240)])],
            ),
        ],
        bad: vec![],
    }
}
