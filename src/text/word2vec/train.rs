//! Negative sampling over the titles.
//!
//! As in gensim 4: the vocabulary and its order, the chances of subsampling and of negative words, windows
//! that are drawn from 1 to `window` for each word, first vectors within -1/size..1/size and zeros behind
//! them, the sigmoid from a table of 1,000 steps from -6 to 6 with nothing learnt outside, the learning rate
//! that falls to 0.0001 in even steps, one with every batch of at most 10,000 words. Other than there: the
//! draws (its own generators), and the order of words of equal counts.

use std::ops::Range;

use super::vocabulary::{Sentence, Vocabulary};
use super::{Kind, Word2VecOptions};
use crate::random::Rng;

/// Where the learning rate ends.
const LEAST_ALPHA: f64 = 1e-4;
/// Words of a batch, in which the learning rate stays, unless one title has more.
const BATCH_WORDS: usize = 10_000;
/// Beyond this a prediction counts as settled.
const SETTLED: f32 = 6.0;
/// Steps of the sigmoid's table.
const STEPS: usize = 1000;

/// The first vectors, and the draws of training.
const FIRST: u64 = 0x7665_6331;
const DRAWS: u64 = 0x7665_6332;

struct Trainer<'a> {
    options: &'a Word2VecOptions,
    /// The words' vectors.
    vectors: Vec<f32>,
    /// What predictions are made with: a second vector for each word.
    outputs: Vec<f32>,
    chances: Vec<f64>,
    sigmoid: Vec<f32>,
    rng: Rng,
    /// The sum of a window's vectors.
    input: Vec<f32>,
    /// What the input learns from one word and its negatives.
    change: Vec<f32>,
}

/// The vectors of all words, one after the other.
pub(super) fn train(
    vocabulary: &Vocabulary,
    sentences: &[Sentence],
    options: &Word2VecOptions,
) -> Vec<f32> {
    let size = options.size;
    let values = vocabulary.words.len() * size;
    let mut first = Rng::of(options.seed, FIRST, 0);
    let even = |_| ((2.0 * first.unit() - 1.0) / size as f64) as f32;
    let mut trainer = Trainer {
        options,
        vectors: (0..values).map(even).collect(),
        outputs: vec![0.0; values],
        chances: vocabulary.chances(),
        sigmoid: sigmoid(),
        rng: Rng::of(options.seed, DRAWS, 0),
        input: vec![0.0; size],
        change: vec![0.0; size],
    };
    let keep = vocabulary.keep(options.sample);
    let batches = batches(sentences);
    let mut kept: Vec<u32> = Vec::new();
    for epoch in 0..options.epochs {
        for batch in &batches {
            let done = batch.start as f64 / sentences.len() as f64;
            let done = (epoch as f64 + done) / options.epochs as f64;
            let alpha = options.alpha - (options.alpha - LEAST_ALPHA) * done;
            for sentence in &sentences[batch.clone()] {
                kept.clear();
                for &word in &sentence.words {
                    let chance = keep[word as usize];
                    if chance >= 1.0 || trainer.rng.unit() < chance {
                        kept.push(word);
                    }
                }
                trainer.sentence(&kept, alpha as f32);
            }
        }
    }
    trainer.vectors
}

/// The sentences in runs of at most [`BATCH_WORDS`] words, rare ones included.
fn batches(sentences: &[Sentence]) -> Vec<Range<usize>> {
    let (mut batches, mut start, mut words) = (Vec::new(), 0, 0);
    for (at, sentence) in sentences.iter().enumerate() {
        if at > start && words + sentence.length > BATCH_WORDS {
            batches.push(start..at);
            (start, words) = (at, 0);
        }
        words += sentence.length;
    }
    batches.push(start..sentences.len());
    batches
}

fn sigmoid() -> Vec<f32> {
    let value = |i: usize| {
        let x = (i as f64 / STEPS as f64 * 2.0 - 1.0) * f64::from(SETTLED);
        (x.exp() / (x.exp() + 1.0)) as f32
    };
    (0..STEPS).map(value).collect()
}

impl Trainer<'_> {
    fn sentence(&mut self, words: &[u32], alpha: f32) {
        for (at, &word) in words.iter().enumerate() {
            let reach = 1 + self.rng.below(self.options.window);
            let around = at.saturating_sub(reach)..words.len().min(at + reach + 1);
            let others = around.filter(|&i| i != at);
            match self.options.kind {
                Kind::SkipGram => {
                    for other in others {
                        self.pair(word, words[other], alpha);
                    }
                }
                Kind::Cbow => self.bag(word, words, others, alpha),
            }
        }
    }

    /// Skip-gram: `word` from the vector of `other`.
    fn pair(&mut self, word: u32, other: u32, alpha: f32) {
        let size = self.options.size;
        let at = other as usize * size;
        self.input.copy_from_slice(&self.vectors[at..at + size]);
        self.predict(word, alpha);
        add(&mut self.vectors[at..at + size], 1.0, &self.change);
    }

    /// CBOW: `word` from the mean of the vectors around it.
    fn bag(
        &mut self,
        word: u32,
        words: &[u32],
        around: impl Iterator<Item = usize> + Clone,
        alpha: f32,
    ) {
        let size = self.options.size;
        self.input.fill(0.0);
        let mut count = 0.0f32;
        for other in around.clone() {
            let at = words[other] as usize * size;
            add(&mut self.input, 1.0, &self.vectors[at..at + size]);
            count += 1.0;
        }
        if count == 0.0 {
            return;
        }
        self.input.iter_mut().for_each(|x| *x /= count);
        self.predict(word, alpha);
        for other in around {
            let at = words[other] as usize * size;
            add(&mut self.vectors[at..at + size], 1.0, &self.change);
        }
    }

    /// Predicts `word` from the input, and some drawn words not to be it; the outputs learn from that, and
    /// what the input should learn is left in `change`.
    fn predict(&mut self, word: u32, alpha: f32) {
        let size = self.options.size;
        self.change.fill(0.0);
        for draw in 0..=self.options.negative {
            let (target, label) = match draw {
                0 => (word as usize, 1.0),
                _ => match self.draw() {
                    same if same == word as usize => continue,
                    drawn => (drawn, 0.0),
                },
            };
            let output = &mut self.outputs[target * size..][..size];
            let score = dot(&self.input, output);
            if score <= -SETTLED || score >= SETTLED {
                continue;
            }
            let step = (score + SETTLED) * (STEPS as f32 / SETTLED / 2.0);
            let said = self.sigmoid[(step as usize).min(STEPS - 1)];
            let by = (label - said) * alpha;
            add(&mut self.change, by, output);
            add(output, by, &self.input);
        }
    }

    /// A word, by its chance.
    fn draw(&mut self) -> usize {
        let all = self.chances.last().copied().unwrap_or(0.0);
        let at = self.rng.unit() * all;
        let place = self.chances.partition_point(|&upto| upto <= at);
        place.min(self.chances.len() - 1)
    }
}

/// `to += by * from`.
fn add(to: &mut [f32], by: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += by * from;
    }
}

/// The product of two vectors, summed in eight lanes.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for (lane, (x, y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += x * y;
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}
