use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::*;
use crate::error::Kind;

/// A letter is a token; a title with `!` has no tokens, but an error. Vectors are `[tokens, sum]`.
#[derive(Default)]
struct Letters {
    /// Titles of each call of `tokens`.
    windows: Mutex<Vec<usize>>,
    /// Titles' lengths of each call of `encode`.
    pieces: Mutex<Vec<Vec<usize>>>,
    fail_at: Option<char>,
    panic_at: Option<char>,
    calls: AtomicUsize,
}

impl EncodeTitles for Letters {
    fn dims(&self) -> usize {
        2
    }

    fn tokens(&self, titles: &[&str]) -> Vec<Result<Vec<u32>>> {
        self.windows.lock().unwrap().push(titles.len());
        let one = |title: &&str| match title.contains('!') {
            true => Err(Error::input(format!("{title} is too loud"))),
            false => Ok(title.chars().filter(|c| *c != ' ').map(u32::from).collect()),
        };
        titles.par_iter().map(one).collect()
    }

    fn encode(&self, titles: &[&[u32]], out: &mut [f32]) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert_eq!(out.len(), titles.len() * 2);
        let lengths = titles.iter().map(|t| t.len()).collect();
        self.pieces.lock().unwrap().push(lengths);
        let has =
            |c: Option<char>| c.is_some_and(|c| titles.iter().any(|t| t.contains(&u32::from(c))));
        if has(self.fail_at) {
            return Err(Error::internal("the encoder gave up"));
        }
        // In parallel, as encoders do.
        let rows = titles.par_iter().zip(out.par_chunks_mut(2));
        rows.for_each(|(title, out)| {
            let loud = self.panic_at.is_some_and(|c| title.contains(&u32::from(c)));
            assert!(!loud, "the encoder goes off");
            out[0] = title.len() as f32;
            out[1] = title.iter().sum::<u32>() as f32;
        });
        Ok(())
    }
}

const SMALL: Window = Window {
    titles: 4,
    bytes: 1000,
    tokens: 6,
};

type Given = Vec<(usize, Vec<f32>)>;

fn run(titles: &[&str], encoder: &Letters, window: Window) -> (Given, TitleFlow, Vec<usize>) {
    let (mut given, reached) = (Vec::new(), Mutex::new(Vec::new()));
    let mut sink = |item: usize, vector: &mut [f32]| {
        given.push((item, vector.to_vec()));
        Ok(())
    };
    let flow = stream_titles(titles, encoder, window, &mut sink, &|done| {
        reached.lock().unwrap().push(done)
    });
    (given, flow.unwrap(), reached.into_inner().unwrap())
}

/// The right vector of a title.
fn of(title: &str) -> Vec<f32> {
    let letters: Vec<u32> = title.chars().filter(|c| *c != ' ').map(u32::from).collect();
    vec![letters.len() as f32, letters.iter().sum::<u32>() as f32]
}

#[test]
fn each_window_comes_longest_first_in_small_pieces() {
    let titles = [
        "bb",
        "a",
        "cccc",
        "dd",
        "eeeeeeeee",
        "f",
        "!",
        "ggg",
        "hh",
        " ",
    ];
    let encoder = Letters::default();
    let (given, flow, reached) = run(&titles, &encoder, SMALL);
    let order: Vec<usize> = given.iter().map(|(item, _)| *item).collect();
    assert_eq!(order, [2, 0, 3, 1, 4, 7, 5, 8]);
    for (item, vector) in &given {
        assert_eq!(*vector, of(titles[*item]), "{}", titles[*item]);
    }
    assert_eq!(*encoder.windows.lock().unwrap(), [4, 4, 2]);
    // At most six tokens in a piece, but for a title that is longer by itself.
    let pieces: [&[usize]; 5] = [&[4, 2], &[2, 1], &[9], &[3, 1], &[2]];
    assert_eq!(*encoder.pieces.lock().unwrap(), pieces);
    assert_eq!((flow.encoded, flow.tokens), (8, 24));
    let failed: Vec<(usize, String)> = flow
        .failures
        .iter()
        .map(|f| (f.item, f.error.to_string()))
        .collect();
    assert_eq!(failed[0], (6, "! is too loud".into()));
    assert_eq!((failed.len(), failed[1].0), (2, 9));
    assert!(
        reached.is_sorted() && reached.last() == Some(&titles.len()),
        "{reached:?}"
    );
}

#[test]
fn a_window_holds_no_more_text_than_it_may() {
    let titles = ["aaaaaa", "bbb", "c", "ddddddddddddd", "e", "f"];
    let window = Window { bytes: 9, ..SMALL };
    let encoder = Letters::default();
    let (given, ..) = run(&titles, &encoder, window);
    assert_eq!(given.len(), titles.len());
    assert_eq!(*encoder.windows.lock().unwrap(), [2, 1, 1, 2]);
}

#[test]
fn vectors_and_their_order_do_not_depend_on_threads_or_pieces() {
    let mut random = fastrand::Rng::with_seed(7);
    let made: Vec<String> = (0..300)
        .map(|_| {
            (0..random.usize(1..30))
                .map(|_| random.lowercase())
                .collect()
        })
        .collect();
    let titles: Vec<&str> = made.iter().map(String::as_str).collect();
    let window = Window {
        titles: 70,
        ..SMALL
    };
    let (wanted, ..) = run(&titles, &Letters::default(), window);
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        let window = Window {
            tokens: 40 * threads,
            ..window
        };
        let (given, ..) = pool
            .build()
            .unwrap()
            .install(|| run(&titles, &Letters::default(), window));
        assert!(given == wanted, "{threads} threads");
    }
}

#[test]
fn no_titles_are_no_work_and_bounds_of_zero_do_not_hang() {
    let encoder = Letters::default();
    let (given, flow, _) = run(&[], &encoder, SMALL);
    assert!(given.is_empty() && flow.encoded == 0);
    assert!(encoder.windows.lock().unwrap().is_empty());
    let nothing = Window {
        titles: 0,
        bytes: 0,
        tokens: 0,
    };
    let (given, ..) = run(&["a", "bb", "c"], &encoder, nothing);
    assert_eq!(given.len(), 3);
    // A window in which no title has tokens asks nothing of the encoder.
    let quiet = Letters::default();
    run(&["!", " "], &quiet, SMALL);
    assert_eq!(quiet.calls.load(Ordering::SeqCst), 0);
}

#[test]
fn an_error_of_encoder_or_sink_ends_the_run() {
    let titles = ["aaaa", "bbb", "x", "c"];
    let encoder = Letters {
        fail_at: Some('x'),
        ..Letters::default()
    };
    let mut rows = 0;
    let mut sink = |_: usize, _: &mut [f32]| {
        rows += 1;
        Ok(())
    };
    let error = stream_titles(&titles, &encoder, SMALL, &mut sink, &|_| {}).unwrap_err();
    assert_eq!((error.message(), rows), ("the encoder gave up", 1));
    let encoder = Letters::default();
    let mut sink = |item: usize, _: &mut [f32]| match item {
        1 => Err(Error::new(Kind::Io, "the disk is full")),
        _ => Ok(()),
    };
    let error = stream_titles(&titles, &encoder, SMALL, &mut sink, &|_| {}).unwrap_err();
    assert_eq!(
        (error.kind(), encoder.calls.load(Ordering::SeqCst)),
        (Kind::Io, 2)
    );
}

#[test]
fn a_panic_of_the_encoder_is_passed_on_and_nothing_hangs() {
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let encoder = Letters {
            panic_at: Some('x'),
            ..Letters::default()
        };
        let went = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.install(|| run(&["a", "x", "b"], &encoder, SMALL))
        }));
        assert!(went.is_err());
        // The pool is as good as before.
        let (given, ..) = pool.install(|| run(&["a", "b"], &Letters::default(), SMALL));
        assert_eq!(given.len(), 2);
    }
}

#[test]
fn an_encoder_that_loses_titles_is_an_error() {
    struct Lossy;
    impl EncodeTitles for Lossy {
        fn dims(&self) -> usize {
            1
        }

        fn tokens(&self, _: &[&str]) -> Vec<Result<Vec<u32>>> {
            vec![Ok(vec![1])]
        }

        fn encode(&self, _: &[&[u32]], _: &mut [f32]) -> Result<()> {
            Ok(())
        }
    }
    let done = stream_titles(&["a", "b"], &Lossy, SMALL, &mut |_, _| Ok(()), &|_| {});
    assert_eq!(done.unwrap_err().kind(), Kind::Internal);
}

/// A run that stops after some calls of `reached`, and what it was told.
struct Told {
    given: Given,
    reached: Vec<(usize, Vec<usize>)>,
}

impl Sink for Told {
    fn take(&mut self, item: usize, vector: &mut [f32]) -> Result<()> {
        self.given.push((item, vector.to_vec()));
        Ok(())
    }

    fn reached(&mut self, done: usize, failures: &[Failure]) -> Result<()> {
        let failed = failures.iter().map(|f| f.item).collect();
        self.reached.push((done, failed));
        Ok(())
    }
}

#[test]
fn a_run_without_the_first_titles_gives_the_others() {
    let titles = [
        "bb",
        "a",
        "!",
        "dd",
        "eeeeeeeee",
        "f",
        "!!",
        "ggg",
        "hh",
        " ",
    ];
    let (whole, ..) = run(&titles, &Letters::default(), SMALL);
    // In the order of the run: of each window those that fail, then the longest first.
    let order = [2, 0, 3, 1, 6, 4, 7, 5, 9, 8];
    for skip in 0..=titles.len() + 1 {
        let mut told = Told {
            given: Vec::new(),
            reached: Vec::new(),
        };
        let encoder = Letters::default();
        let flow = stream_titles_into(&titles, &encoder, (SMALL, skip), &mut told, &|_| {});
        let left = &order[skip.min(titles.len())..];
        let expected: Vec<(usize, Vec<f32>)> = whole
            .iter()
            .filter(|(item, _)| left.contains(item))
            .cloned()
            .collect();
        assert_eq!(told.given, expected, "{skip}");
        let flow = flow.unwrap();
        assert_eq!(flow.encoded, expected.len());
        // Every failure that is not skipped is told, and no step goes back behind the skip.
        let failed: Vec<usize> = told.reached.iter().flat_map(|r| r.1.clone()).collect();
        for item in [2, 6, 9] {
            assert!(
                !left.contains(&item) || failed.contains(&item),
                "{skip}: {failed:?}"
            );
        }
        assert!(told.reached.is_sorted_by_key(|r| r.0));
        assert!(told.reached.iter().all(|r| r.0 >= skip));
        let last = told.reached.last().map(|r| r.0);
        assert_eq!(
            last,
            (skip < titles.len()).then_some(titles.len()),
            "{skip}"
        );
    }
}
