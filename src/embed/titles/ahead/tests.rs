use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::embed::stream_titles_into;

/// A token for each letter; titles with a `!` have none. Vectors are `[letters, first token]`.
#[derive(Default)]
struct Letters {
    lanes: usize,
    tokens: usize,
    titles: usize,
    fail_at: Option<usize>,
    under_way: AtomicUsize,
    most: AtomicUsize,
    runs: AtomicUsize,
}

impl EncodeTitles for Letters {
    fn dims(&self) -> usize {
        2
    }

    fn tokens(&self, titles: &[&str]) -> Vec<Result<Vec<u32>>> {
        let tokens = |title: &&str| match title.contains('!') {
            true => Err(Error::input("is loud")),
            false => Ok(title.bytes().map(u32::from).collect()),
        };
        titles.iter().map(tokens).collect()
    }

    fn encode(&self, _: &[&[u32]], _: &mut [f32]) -> Result<()> {
        Err(Error::internal("not ahead"))
    }

    fn ahead(&self) -> Option<&dyn TitlesAhead> {
        Some(self)
    }
}

impl TitlesAhead for Letters {
    fn lanes(&self, _: usize) -> Result<TitleLanes<'_>> {
        let lane = |_| Box::new(Of(self, Vec::new())) as _;
        Ok(TitleLanes {
            tokens: self.tokens,
            titles: self.titles,
            lanes: (0..self.lanes).map(lane).collect(),
            note: Some("noted".into()),
        })
    }
}

struct Of<'a>(&'a Letters, Vec<f32>);

impl TitleLane for Of<'_> {
    fn submit(&mut self, titles: &[&[u32]]) -> Result<()> {
        let run = self.0.runs.fetch_add(1, Ordering::SeqCst);
        if self.0.fail_at == Some(run) {
            return Err(Error::internal("the card went away"));
        }
        let tokens: usize = titles.iter().map(|t| t.len()).sum();
        assert!(titles.len() == 1 || tokens <= self.0.tokens);
        assert!(titles.len() <= self.0.titles);
        let open = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(open, Ordering::SeqCst);
        let vectors = titles.iter().map(|t| [t.len() as f32, t[0] as f32]);
        self.1 = vectors.flatten().collect();
        Ok(())
    }

    fn collect(&mut self, out: &mut [f32]) -> Result<()> {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        out.copy_from_slice(&self.1);
        Ok(())
    }
}

fn letters() -> Letters {
    Letters {
        lanes: 3,
        tokens: 12,
        titles: 3,
        ..Letters::default()
    }
}

/// What a sink was told: titles with vectors, and how far the run had come.
#[derive(Default)]
struct Told {
    titles: Vec<(usize, Vec<f32>)>,
    reached: Vec<usize>,
    failed: Vec<usize>,
}

impl Sink for Told {
    fn take(&mut self, item: usize, vector: &mut [f32]) -> Result<()> {
        self.titles.push((item, vector.to_vec()));
        Ok(())
    }

    fn reached(&mut self, done: usize, failures: &[Failure]) -> Result<()> {
        self.reached.push(done);
        self.failed.extend(failures.iter().map(|f| f.item));
        Ok(())
    }
}

fn titles() -> Vec<String> {
    let title = |n: usize| {
        let letter = char::from(b'a' + n as u8);
        let loud = if n % 9 == 4 { "!" } else { "" };
        format!("{}{loud}", letter.to_string().repeat(1 + n * 5 % 7))
    };
    (0..26).map(title).collect()
}

fn run(letters: &Letters, skip: usize) -> (Result<TitleFlow>, Told) {
    let titles = titles();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let window = Window {
        titles: 10,
        ..Window::default()
    };
    let mut told = Told::default();
    let flow = stream_titles_into(&titles, letters, (window, skip), &mut told, &|_| {});
    (flow, told)
}

#[test]
fn every_title_comes_once_window_by_window_the_longest_first() {
    let letters = letters();
    let (flow, told) = run(&letters, 0);
    let flow = flow.unwrap();
    assert_eq!(flow.note.as_deref(), Some("noted"));
    assert_eq!((flow.encoded, flow.failures.len()), (23, 3));
    assert_eq!(told.failed, [4, 13, 22]);
    let all = titles();
    for (title, vector) in &told.titles {
        let text = &all[*title];
        let wanted = [text.len() as f32, f32::from(text.as_bytes()[0])];
        assert_eq!(vector[..], wanted, "{title}");
    }
    for (window, of) in [(0..10, 0..9), (10..20, 9..18), (20..26, 18..23)] {
        let these = &told.titles[of];
        assert!(these.iter().all(|(title, _)| window.contains(title)));
        assert!(these.is_sorted_by(|a, b| (b.1[0], a.0) <= (a.1[0], b.0)));
    }
    assert!(told.reached.is_sorted());
    assert_eq!(told.reached.last(), Some(&26));
    assert_eq!(letters.most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_run_without_the_first_titles_gives_the_others() {
    let (_, whole) = run(&letters(), 0);
    for skip in [1, 5, 9, 10, 11, 25, 26, 90] {
        let (flow, told) = run(&letters(), skip);
        // Titles without tokens come first in their window.
        let failed = |upto: usize| [4, 13, 22].iter().filter(|&&f| f / 10 * 10 < upto).count();
        let from = skip.saturating_sub(failed(skip.min(26))).min(23);
        let skipped = whole.titles[from..].to_vec();
        assert_eq!(told.titles, skipped, "{skip}");
        assert_eq!(flow.unwrap().encoded, skipped.len());
        assert!(told.reached.iter().all(|&done| done >= skip.min(26)));
    }
}

#[test]
fn an_error_ends_the_run() {
    let failing = Letters {
        fail_at: Some(2),
        ..letters()
    };
    let (flow, _) = run(&failing, 0);
    assert!(flow.unwrap_err().to_string().contains("went away"));
}
