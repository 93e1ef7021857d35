//! The words of titles.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::listings::Listing;
use crate::text::clean::decode_escapes;

/// The most words that are listed.
const WORDS: usize = 200;

/// How often each word stands in the titles, lower case, punctuation apart; the most frequent first.
pub(super) fn words(items: &[Listing]) -> Value {
    let mut counts: HashMap<String, (usize, usize, usize)> = HashMap::new();
    let (mut total, mut lengths) = (0usize, std::collections::BTreeMap::<usize, usize>::new());
    for (title, item) in items.iter().enumerate() {
        let Some(text) = item.title.as_deref().filter(|_| !item.rejected) else {
            continue;
        };
        let text = decode_escapes(text).to_lowercase();
        for word in text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| !w.is_empty())
        {
            let (count, titles, last) = match counts.get_mut(word) {
                Some(entry) => (&mut entry.0, &mut entry.1, &mut entry.2),
                None => {
                    let entry = counts.entry(word.to_string()).or_insert((0, 0, usize::MAX));
                    (&mut entry.0, &mut entry.1, &mut entry.2)
                }
            };
            *count += 1;
            // A word counts once a title here.
            if *last != title {
                *titles += 1;
                *last = title;
            }
            total += 1;
            *lengths.entry(word.chars().count()).or_default() += 1;
        }
    }
    let distinct = counts.len();
    let once = counts.values().filter(|c| c.0 == 1).count();
    let mut all: Vec<(String, usize, usize)> = counts
        .into_iter()
        .map(|(word, (count, titles, _))| (word, count, titles))
        .collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(WORDS);
    json!({
        "total": total,
        "distinct": distinct,
        "once": once,
        "lengths": lengths.into_iter().collect::<Vec<_>>(),
        "most": all,
    })
}
