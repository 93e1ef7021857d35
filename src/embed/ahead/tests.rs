use std::sync::atomic::AtomicUsize;

use super::*;

/// Items of two values; every seventh fails, every eleventh panics. They could be pictures, but for
/// encoders that take none.
struct Made(usize);

impl Items for Made {
    fn count(&self) -> usize {
        self.0
    }

    fn load(&self, item: usize, out: &mut [f32]) -> Result<()> {
        out.fill(f32::NAN);
        assert!(item % 11 != 10, "item {item} goes off");
        if item % 7 == 6 {
            return Err(Error::input(format!("item {item} is damaged")));
        }
        out.copy_from_slice(&[item as f32, 0.5]);
        Ok(())
    }

    fn normal(&self) -> Option<Normal> {
        Some(([0.0; 3], [1.0; 3]))
    }
}

/// Gives `[sum, place, batch's number]` and watches the order of the calls.
#[derive(Default)]
struct Ahead {
    lanes: usize,
    batch: usize,
    fail_at: Option<usize>,
    /// Batches that were submitted, and of those collected.
    submitted: AtomicUsize,
    collected: AtomicUsize,
    /// The most that were submitted and not collected.
    most: AtomicUsize,
}

struct Of<'a> {
    ahead: &'a Ahead,
    filled: Vec<[f32; 2]>,
    number: Option<usize>,
}

impl EncodeAhead for Ahead {
    fn dims(&self) -> usize {
        3
    }

    fn lanes(&self, wanted: Option<usize>, _: usize) -> Result<Lanes<'_>> {
        let lane = |_| {
            Box::new(Of {
                ahead: self,
                filled: vec![[-1.0; 2]; self.batch],
                number: None,
            }) as _
        };
        Ok(Lanes {
            batch: wanted.unwrap_or(self.batch),
            lanes: (0..self.lanes).map(lane).collect(),
            note: Some("noted".into()),
        })
    }
}

impl Lane for Of<'_> {
    fn fill(&mut self, count: usize, load: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()> {
        assert!(self.number.is_none(), "a lane that is submitted is filled");
        for (place, item) in self.filled.iter_mut().take(count).enumerate() {
            load(place, item);
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<()> {
        let number = self.ahead.submitted.fetch_add(1, Ordering::SeqCst);
        let open = number + 1 - self.ahead.collected.load(Ordering::SeqCst);
        self.ahead.most.fetch_max(open, Ordering::SeqCst);
        self.number = Some(number);
        match self.ahead.fail_at == Some(number) {
            true => Err(Error::internal("the card went away")),
            false => Ok(()),
        }
    }

    fn collect(&mut self, out: &mut [f32]) -> Result<()> {
        let number = self.number.take().expect("collected unsubmitted");
        assert_eq!(number, self.ahead.collected.fetch_add(1, Ordering::SeqCst));
        for (place, (item, out)) in self.filled.iter().zip(out.chunks_exact_mut(3)).enumerate() {
            out.copy_from_slice(&[item[0] + item[1], place as f32, number as f32]);
        }
        Ok(())
    }
}

fn ahead(lanes: usize, batch: usize) -> Ahead {
    Ahead {
        lanes,
        batch,
        ..Ahead::default()
    }
}

struct Taken {
    items: Vec<(usize, Vec<f32>)>,
    told: Vec<usize>,
    refuse: Option<usize>,
}

impl Sink for Taken {
    fn take(&mut self, item: usize, vector: &mut [f32]) -> Result<()> {
        if self.refuse == Some(item) {
            return Err(Error::internal("the disk is full"));
        }
        self.items.push((item, vector.to_vec()));
        Ok(())
    }

    fn reached(&mut self, done: usize, _: &[Failure]) -> Result<()> {
        self.told.push(done);
        Ok(())
    }
}

fn run(items: usize, ahead: &Ahead, refuse: Option<usize>) -> (Result<Flow>, Taken) {
    let mut taken = Taken {
        items: Vec::new(),
        told: Vec::new(),
        refuse,
    };
    let flow = stream_ahead(&Made(items), ahead, None, &mut taken, &|_| {});
    (flow, taken)
}

#[test]
fn batches_stay_in_order_and_keep_their_places_whatever_the_lanes() {
    for (lanes, batch, items) in [(1, 4, 23), (2, 1, 5), (3, 4, 40), (4, 64, 30), (4, 5, 25)] {
        let ahead = ahead(lanes, batch);
        let (flow, taken) = run(items, &ahead, None);
        let flow = flow.unwrap();
        let good = |i: &usize| i % 7 != 6 && i % 11 != 10;
        let wanted: Vec<usize> = (0..items).filter(good).collect();
        let failed: Vec<usize> = (0..items).filter(|i| !good(i)).collect();
        let have: Vec<usize> = taken.items.iter().map(|t| t.0).collect();
        assert_eq!(have, wanted);
        for (item, vector) in &taken.items {
            let place = item % batch;
            assert_eq!(vector[..2], [*item as f32 + 0.5, place as f32], "{item}");
        }
        let failures: Vec<usize> = flow.failures.iter().map(|f| f.item).collect();
        assert_eq!(failures, failed);
        assert_eq!(flow.encoded, wanted.len());
        assert_eq!(flow.note.as_deref(), Some("noted"));
        assert_eq!(taken.told.last(), Some(&items));
        let most = ahead.most.load(Ordering::SeqCst);
        assert!(most <= SUBMITTED, "{most} are submitted at a time");
        assert!(most == 2 || lanes == 1 || items <= batch, "{lanes} {batch}");
    }
}

#[test]
fn a_batch_of_which_nothing_could_be_loaded_is_not_encoded() {
    let ahead = ahead(2, 1);
    let (flow, _) = run(7, &ahead, None);
    assert_eq!(flow.unwrap().failures.len(), 1);
    assert_eq!(ahead.submitted.load(Ordering::SeqCst), 6);
    let (flow, taken) = run(0, &ahead, None);
    assert_eq!((flow.unwrap().encoded, taken.items.len()), (0, 0));
}

#[test]
fn errors_end_the_run() {
    let failing = Ahead {
        fail_at: Some(2),
        ..ahead(3, 2)
    };
    let (flow, taken) = run(40, &failing, None);
    assert!(flow.unwrap_err().to_string().contains("went away"));
    assert!(taken.items.len() <= 4);
    let (flow, _) = run(40, &ahead(3, 2), Some(9));
    assert!(flow.unwrap_err().to_string().contains("disk is full"));
}
