use super::*;
use crate::random::Rng;

/// Titles of four topics: words of a topic stand together, three words stand anywhere.
fn titles(seed: u64) -> Vec<String> {
    let mut rng = Rng::of(seed, 1, 1);
    let title = |i: usize| {
        let words: Vec<String> = (0..6)
            .map(|_| match rng.below(4) {
                0 => format!("any{}", rng.below(3)),
                _ => format!("t{}w{}", i % 4, rng.below(8)),
            })
            .collect();
        words.join(" ")
    };
    (0..400).map(title).collect()
}

fn some(titles: &[String]) -> Vec<Option<&str>> {
    titles.iter().map(|t| Some(t.as_str())).collect()
}

fn small(kind: Kind) -> Word2VecOptions {
    Word2VecOptions {
        size: 12,
        kind,
        epochs: 30,
        alpha: 0.05,
        ..Word2VecOptions::default()
    }
}

/// The mean cosines of words within a topic and across topics.
fn within_and_across(model: &Word2Vec) -> (f64, f64) {
    let (mut within, mut across) = (Vec::new(), Vec::new());
    for a in 0..32 {
        for b in 0..a {
            let name = |w: usize| format!("t{}w{}", w / 8, w % 8);
            let cosine = model.similarity(&name(a), &name(b)).unwrap();
            match a / 8 == b / 8 {
                true => within.push(cosine),
                false => across.push(cosine),
            }
        }
    }
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    (mean(&within), mean(&across))
}

#[test]
fn words_of_a_topic_come_together() {
    let titles = titles(1);
    for kind in [Kind::SkipGram, Kind::Cbow] {
        let model = Word2Vec::train(&some(&titles), &small(kind)).unwrap();
        let (within, across) = within_and_across(&model);
        assert!(within > across + 0.4, "{kind:?}: {within} and {across}");
        let untrained = Word2VecOptions {
            alpha: 1e-4,
            epochs: 1,
            ..small(kind)
        };
        let model = Word2Vec::train(&some(&titles), &untrained).unwrap();
        let (within, across) = within_and_across(&model);
        assert!(
            within < across + 0.2,
            "{kind:?} untrained: {within} and {across}"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
    let titles = titles(2);
    let options = Word2VecOptions {
        epochs: 2,
        ..small(Kind::SkipGram)
    };
    let train = |options: &Word2VecOptions| Word2Vec::train(&some(&titles), options).unwrap();
    assert_eq!(train(&options).vectors(), train(&options).vectors());
    let other = Word2VecOptions {
        seed: 2,
        ..options.clone()
    };
    assert_ne!(train(&options).vectors(), train(&other).vectors());
}

#[test]
fn words_are_counted_sorted_and_cut() {
    let titles = [Some("b a, B c"), None, Some("a-b Ö_ö c"), Some("")];
    let options = |min_count| Word2VecOptions {
        min_count,
        epochs: 1,
        ..Word2VecOptions::default()
    };
    let model = Word2Vec::train(&titles, &options(1)).unwrap();
    assert_eq!(model.words(), ["b", "a", "c", "ö_ö"]);
    let model = Word2Vec::train(&titles, &options(2)).unwrap();
    assert_eq!(model.words(), ["b", "a", "c"]);
    let cased = Word2VecOptions {
        lowercase: false,
        ..options(1)
    };
    let model = Word2Vec::train(&titles, &cased).unwrap();
    assert_eq!(model.words(), ["a", "b", "c", "B", "Ö_ö"]);
    let model = Word2Vec::train(&titles, &options(9)).unwrap();
    assert!(model.words().is_empty());
    assert_eq!(model.rows(&titles, &options(9)).unwrap().data(), [0.0; 200]);
}

#[test]
fn frequent_words_are_passed_over_and_rare_ones_drawn_more() {
    let titles = vec![
        vec!["a".to_string(); 900],
        vec!["b".to_string(); 90],
        vec!["c".to_string(); 10],
    ];
    let (vocabulary, _) = vocabulary::learn(titles, &Word2VecOptions::default());
    // gensim 4.4: (sqrt(count / 10) + 1) * 10 / count.
    let keep = vocabulary.keep(0.01);
    let wanted = [0.116_520_366_450_057_1, 0.444_444_444_444_444_4, 1.0];
    for (chance, wanted) in keep.iter().zip(wanted) {
        assert!((chance - wanted).abs() < 1e-9, "{chance} and {wanted}");
    }
    assert_eq!(vocabulary.keep(0.0), [1.0; 3]);
    let chances = vocabulary.chances();
    let rare = (chances[2] - chances[1]) / chances[2];
    assert!(rare > 0.02 && rare < 0.04, "{rare}: 0.01 is its share");
}

#[test]
fn titles_are_sums_and_means_of_known_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.txt");
    std::fs::write(&path, "3 2\nred 1 2\nblue -3 0.5\nred 9 9\n").unwrap();
    let titles = [Some("Red blue, red!"), Some("green"), None];
    let sum = Word2VecOptions {
        vectors: Some(path.clone()),
        ..Word2VecOptions::default()
    };
    let model = Word2Vec::fit(&titles, &sum).unwrap();
    assert_eq!(model.words(), ["red", "blue"]);
    let rows = model.rows(&titles, &sum).unwrap();
    assert_eq!(rows.data(), [-1.0, 4.5, 0.0, 0.0, 0.0, 0.0]);
    let mean = Word2VecOptions {
        pool: Pool::Mean,
        ..sum
    };
    let rows = model.rows(&titles, &mean).unwrap();
    assert_eq!(rows.row(0), [-1.0 / 3.0, 1.5]);
    let only = Word2Vec::read(&path, &|word| word == "blue").unwrap();
    assert_eq!((only.words().len(), only.get("red")), (1, None));
}

#[test]
fn both_formats_are_read_and_what_is_neither_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.bin");
    let read = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Word2Vec::read(&path, &|_| true)
    };
    let values = |values: [f32; 3]| values.map(f32::to_le_bytes).concat();
    let (one, two) = (values([0.5, -2.0, 1e-3]), values([7.0, 8.0, 9.0]));
    let plain = [b"2 3\nred ", &one[..], b"tape ", &two[..]].concat();
    let broken = [b"2 3\nred ", &one[..], b"\ntape ", &two[..], b"\n"].concat();
    for bytes in [&plain, &broken] {
        let model = read(bytes).unwrap();
        assert_eq!(model.words(), ["red", "tape"]);
        assert_eq!(model.get("red").unwrap(), [0.5, -2.0, 1e-3]);
        assert_eq!(model.get("tape").unwrap(), [7.0, 8.0, 9.0]);
    }
    let text = read(b"2 3\nred 0.5 -2 1e-3\ntape 7 8 9").unwrap();
    assert_eq!(text.get("red").unwrap(), [0.5, -2.0, 1e-3]);
    assert_eq!(text.get("tape").unwrap(), [7.0, 8.0, 9.0]);
    let nan = [b"1 3\nred ", &values([0.0, f32::NAN, 0.0])[..]].concat();
    for (bytes, said) in [
        (&b""[..], "ends"),
        (b"red 1 2 3\n", "begin with"),
        (b"2 0\n", "0 values"),
        (b"9999999999 3\n", "the most"),
        (b"100 100\nred 1 2", "too short"),
        (b"2 3\nred 1 2 3\ntape 1 2\n", "word 2: has 2 values"),
        (b"1 2\nred 1 x9\n", "no finite number"),
        (b"1 2\nred 1 inf\n", "no finite number"),
        (&plain[..plain.len() - 1], "word 2: the file ends"),
        (&nan, "no finite number"),
    ] {
        let error = read(bytes).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("v.bin"), "{error}");
    }
    let none = Word2Vec::read(folder.path(), &|_| true).unwrap_err();
    assert!(none.to_string().contains("no file"), "{none}");
}

#[test]
fn options_have_bounds() {
    let refused = |change: &dyn Fn(&mut Word2VecOptions)| {
        let mut options = Word2VecOptions::default();
        change(&mut options);
        options.check().unwrap_err().to_string()
    };
    assert!(Word2VecOptions::default().check().is_ok());
    assert!(refused(&|o| o.size = 0).contains("size 0"));
    assert!(refused(&|o| o.window = 0).contains("window 0"));
    assert!(refused(&|o| o.negative = 1000).contains("negative 1000"));
    assert!(refused(&|o| o.epochs = 0).contains("epochs 0"));
    assert!(refused(&|o| o.min_count = 0).contains("min_count 0"));
    assert!(refused(&|o| o.sample = f64::NAN).contains("sample NaN"));
    assert!(refused(&|o| o.alpha = 2.0).contains("alpha 2"));
}
