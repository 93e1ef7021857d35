//! The words that get vectors, and titles as their places.

use std::collections::HashMap;

use super::Word2VecOptions;

/// A title.
pub(super) struct Sentence {
    /// The places of its frequent words.
    pub words: Vec<u32>,
    /// How many words it has.
    pub length: usize,
}

/// The words that are learnt.
pub(super) struct Vocabulary {
    /// The most frequent first, then as they sort.
    pub words: Vec<String>,
    /// How often each stands.
    pub counts: Vec<u64>,
    /// How many stand in all.
    pub total: u64,
}

/// The frequent words of `titles`, and the titles.
pub(super) fn learn(
    titles: Vec<Vec<String>>,
    options: &Word2VecOptions,
) -> (Vocabulary, Vec<Sentence>) {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for word in titles.iter().flatten() {
        *counts.entry(word).or_insert(0) += 1;
    }
    let frequent = |&(_, count): &(&str, u64)| count >= options.min_count as u64;
    let mut words: Vec<(&str, u64)> = counts.into_iter().filter(frequent).collect();
    words.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let places: HashMap<&str, u32> = (0..).zip(&words).map(|(i, word)| (word.0, i)).collect();
    let sentence = |title: &Vec<String>| {
        let known = title.iter().filter_map(|word| places.get(word.as_str()));
        Sentence {
            words: known.copied().collect(),
            length: title.len(),
        }
    };
    let sentences = titles.iter().map(sentence).collect();
    let vocabulary = Vocabulary {
        total: words.iter().map(|word| word.1).sum(),
        counts: words.iter().map(|word| word.1).collect(),
        words: words.into_iter().map(|word| word.0.to_string()).collect(),
    };
    (vocabulary, sentences)
}

impl Vocabulary {
    /// The chance that each word is kept where it stands, as gensim has it: with `t` the part `sample` of all
    /// words and `n` the word's count, `(sqrt(n / t) + 1) * t / n`, and at most 1.
    pub fn keep(&self, sample: f64) -> Vec<f64> {
        let threshold = sample * self.total as f64;
        let chance = |&count: &u64| match sample > 0.0 {
            true => {
                let n = count as f64;
                (((n / threshold).sqrt() + 1.0) * threshold / n).min(1.0)
            }
            false => 1.0,
        };
        self.counts.iter().map(chance).collect()
    }

    /// Sums of the counts to the power of 3/4, by which negative words are drawn.
    pub fn chances(&self) -> Vec<f64> {
        let mut sum = 0.0;
        let upto = |&count: &u64| {
            sum += (count as f64).powf(0.75);
            sum
        };
        self.counts.iter().map(upto).collect()
    }
}
