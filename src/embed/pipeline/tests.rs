use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use super::*;

/// Items of three values, some of which fail, and a count of how many are loaded and not encoded.
#[derive(Default)]
struct Made {
    count: usize,
    /// Items that end in an error.
    broken: Vec<usize>,
    /// Items that end in a panic.
    panics: Vec<usize>,
    loads: AtomicUsize,
    live: AtomicUsize,
    most: AtomicUsize,
}

impl Made {
    fn of(count: usize) -> Self {
        Made {
            count,
            ..Made::default()
        }
    }
}

impl Items for Made {
    fn count(&self) -> usize {
        self.count
    }

    fn load(&self, item: usize, out: &mut [f32]) -> Result<()> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        out.fill(f32::NAN);
        assert!(!self.panics.contains(&item), "item {item} goes off");
        if self.broken.contains(&item) {
            return Err(Error::input(format!("item {item} is damaged")));
        }
        out.copy_from_slice(&[item as f32, 1.0, -0.5]);
        let live = self.live.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(live, Ordering::SeqCst);
        Ok(())
    }
}

/// Gives `[item, sum]`; may fail, panic, or note that items have been encoded.
struct Sums<'a> {
    items: &'a Made,
    fail_at: Option<f32>,
    panic_at: Option<f32>,
    batches: Mutex<Vec<usize>>,
}

impl<'a> Sums<'a> {
    fn over(items: &'a Made) -> Self {
        Sums {
            items,
            fail_at: None,
            panic_at: None,
            batches: Mutex::new(Vec::new()),
        }
    }
}

impl Encode for Sums<'_> {
    fn item_len(&self) -> usize {
        3
    }

    fn dims(&self) -> usize {
        2
    }

    fn encode(&self, items: &[f32], out: &mut [f32]) -> Result<()> {
        let (items, rest) = items.as_chunks::<3>();
        assert!(rest.is_empty() && items.len() * 2 == out.len());
        self.batches.lock().unwrap().push(items.len());
        // Parallel inside, as encoders are.
        let work = items.par_iter().zip(out.par_chunks_mut(2));
        work.for_each(|(item, out)| out.copy_from_slice(&[item[0], item.iter().sum()]));
        for item in items {
            assert!(self.panic_at != Some(item[0]), "the encoder goes off");
            if self.fail_at == Some(item[0]) {
                return Err(Error::limit("no memory left").op("conv"));
            }
        }
        self.items.live.fetch_sub(items.len(), Ordering::SeqCst);
        Ok(())
    }
}

/// What reached the sink: items and their vectors.
type Seen = Vec<(usize, Vec<f32>)>;

/// Runs the pipeline and gives what reached the sink.
fn run(encoder: &Sums<'_>, batch: usize) -> Result<(Flow, Seen)> {
    let mut seen = Vec::new();
    let flow = stream(
        encoder.items,
        encoder,
        batch,
        &mut |item, vector| {
            seen.push((item, vector.to_vec()));
            Ok(())
        },
        &|_| {},
    )?;
    Ok((flow, seen))
}

fn pool(threads: usize) -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap()
}

#[test]
fn every_item_arrives_once_and_in_order_whatever_the_batch_and_the_threads() {
    for count in [0, 1, 2, 7, 8, 9, 100] {
        for batch in [1, 3, 8, 64, 1000] {
            let items = Made::of(count);
            let expected: Vec<(usize, Vec<f32>)> = (0..count)
                .map(|i| (i, vec![i as f32, i as f32 + 0.5]))
                .collect();
            // From outside the pool, and from inside pools of one thread and of four.
            let (flow, seen) = run(&Sums::over(&items), batch).unwrap();
            assert_eq!((flow.encoded, seen), (count, expected.clone()));
            assert!(flow.failures.is_empty());
            for threads in [1, 4] {
                let inside = pool(threads).install(|| run(&Sums::over(&items), batch).unwrap());
                assert_eq!(inside.1, expected, "{count} by {batch} on {threads}");
            }
            assert_eq!(items.loads.into_inner(), 3 * count);
        }
    }
}

#[test]
fn batches_are_full_and_few_are_live() {
    for (batch, threads) in [(1, 4), (4, 1), (4, 2), (4, 8)] {
        let items = Made::of(203);
        let encoder = Sums::over(&items);
        pool(threads).install(|| run(&encoder, batch).unwrap());
        let most = items.most.load(Ordering::SeqCst);
        assert!(most <= MAX_LIVE_BATCHES * batch, "{most} items of {batch}");
        let batches = encoder.batches.into_inner().unwrap();
        assert_eq!(batches.len(), 203usize.div_ceil(batch));
        assert!(batches.iter().rev().skip(1).all(|&n| n == batch));
    }
}

#[test]
fn a_slow_sink_holds_the_others_back() {
    let items = Made::of(60);
    let encoder = Sums::over(&items);
    let mut taken = 0;
    let mut worst = 0;
    let mut sink = |_: usize, _: &mut [f32]| {
        if taken % 2 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        taken += 1;
        worst = worst.max(items.loads.load(Ordering::SeqCst) - taken);
        Ok(())
    };
    stream(&items, &encoder, 2, &mut sink, &|_| {}).unwrap();
    // Live batches, one in the queue to the sink, one that waits to be put there, one in the sink.
    assert!(worst <= (MAX_LIVE_BATCHES + 3) * 2, "{worst}");
    assert_eq!(taken, 60);
}

#[test]
fn damaged_items_and_panics_cost_themselves_alone() {
    let damaged = [
        vec![0],
        vec![2],
        vec![7, 8],
        (0..10).collect(),
        vec![3, 4, 5],
    ];
    for broken in damaged {
        for batch in [1, 3, 4, 64] {
            let items = Made {
                broken: broken.clone(),
                panics: vec![6],
                ..Made::of(10)
            };
            let (flow, seen) = run(&Sums::over(&items), batch).unwrap();
            let failed: Vec<usize> = flow.failures.iter().map(|f| f.item).collect();
            let mut expected = broken.clone();
            expected.push(6);
            expected.sort_unstable();
            expected.dedup();
            assert_eq!(failed, expected);
            for f in &flow.failures {
                let word = if f.item == 6 { "broke down" } else { "damaged" };
                assert!(f.error.to_string().contains(word), "{}", f.error);
            }
            let kept: Vec<usize> = (0..10).filter(|i| !expected.contains(i)).collect();
            assert_eq!(flow.encoded, kept.len());
            for (&item, (number, vector)) in kept.iter().zip(&seen) {
                assert_eq!(
                    (item, [item as f32, item as f32 + 0.5]),
                    (*number, [vector[0], vector[1]])
                );
            }
        }
    }
}

#[test]
fn an_error_of_the_encoder_or_the_sink_stops_everything() {
    let items = Made::of(5000);
    let mut encoder = Sums::over(&items);
    encoder.fail_at = Some(10.0);
    let error = run(&encoder, 4).unwrap_err();
    assert_eq!(error.to_string(), "conv: no memory left");
    assert!(items.loads.load(Ordering::SeqCst) <= 8 + 4 * MAX_LIVE_BATCHES);

    let items = Made::of(5000);
    let encoder = Sums::over(&items);
    let mut sink = |item: usize, _: &mut [f32]| match item {
        10 => Err(Error::input("the disk is full")),
        _ => Ok(()),
    };
    let error = stream(&items, &encoder, 4, &mut sink, &|_| {}).unwrap_err();
    assert_eq!(error.to_string(), "the disk is full");
    assert!(items.loads.load(Ordering::SeqCst) < 100);
}

#[test]
fn a_panic_of_the_encoder_or_the_sink_goes_on_and_does_not_hang() {
    let items = Made::of(500);
    let mut encoder = Sums::over(&items);
    encoder.panic_at = Some(10.0);
    assert!(catch_unwind(AssertUnwindSafe(|| run(&encoder, 4))).is_err());
    let encoder = Sums::over(&items);
    let mut sink = |item: usize, _: &mut [f32]| {
        assert!(item != 10, "the sink goes off");
        Ok(())
    };
    let run = || stream(&items, &encoder, 4, &mut sink, &|_| {});
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
}

#[test]
fn progress_counts_up_to_all_items() {
    let items = Made {
        broken: vec![1, 9],
        ..Made::of(10)
    };
    let seen = Mutex::new(Vec::new());
    let encoder = Sums::over(&items);
    let progress = |done| seen.lock().unwrap().push(done);
    stream(&items, &encoder, 4, &mut |_, _| Ok(()), &progress).unwrap();
    assert_eq!(seen.into_inner().unwrap(), [4, 8, 10]);
}

#[test]
fn batches_fit_the_memory() {
    assert_eq!(batch_for(Some(3), 10).unwrap(), 3);
    let pixels = 512 * 512 * 3;
    let most = batch_for(Some(MAX_BATCH), pixels).unwrap();
    let bytes = |n: usize| n * pixels * 4 * MAX_LIVE_BATCHES;
    assert!(bytes(most) <= MAX_PREPARED_BYTES && bytes(most + 1) > MAX_PREPARED_BYTES);
    assert_eq!(batch_for(Some(8), usize::MAX).unwrap(), 1);
    assert_eq!(pool(1).install(|| batch_for(None, 1)).unwrap(), 8);
    assert_eq!(pool(16).install(|| batch_for(None, 0)).unwrap(), 16);
    assert_eq!(batch_for(None, pixels * 1000).unwrap(), 1);
    for wrong in [0, MAX_BATCH + 1] {
        let error = batch_for(Some(wrong), 1).unwrap_err().to_string();
        assert!(error.contains(&wrong.to_string()), "{error}");
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Told {
    items: Vec<usize>,
    /// How far the run has come, and what has failed by then.
    reached: Vec<(usize, Vec<usize>)>,
    stop_at: usize,
}

impl Sink for Told {
    fn take(&mut self, item: usize, _: &mut [f32]) -> Result<()> {
        self.items.push(item);
        Ok(())
    }

    fn reached(&mut self, done: usize, failures: &[Failure]) -> Result<()> {
        let failed = failures.iter().map(|f| f.item).collect();
        self.reached.push((done, failed));
        match done == self.stop_at {
            true => Err(Error::input("far enough")),
            false => Ok(()),
        }
    }
}

#[test]
fn a_sink_is_told_how_far_the_run_has_come() {
    let items = Made {
        broken: vec![0, 5, 6, 7],
        ..Made::of(11)
    };
    let mut told = Told::default();
    let flow = stream_into(&items, &Sums::over(&items), 3, &mut told, &|_| {}).unwrap();
    assert_eq!(told.items, [1, 2, 3, 4, 8, 9, 10]);
    let reached = [(3, vec![0]), (6, vec![5]), (9, vec![6, 7]), (11, vec![])];
    assert_eq!(told.reached, reached);
    let failed: Vec<usize> = flow.failures.iter().map(|f| f.item).collect();
    assert_eq!((flow.encoded, failed), (7, vec![0, 5, 6, 7]));
    let mut told = Told {
        stop_at: 6,
        ..Told::default()
    };
    let error = stream_into(&items, &Sums::over(&items), 3, &mut told, &|_| {}).unwrap_err();
    assert_eq!(error.message(), "far enough");
    assert_eq!(told.items, [1, 2, 3, 4]);
}
