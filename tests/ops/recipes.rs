//! Recipe files and fusion expressions: what they say, and that what is printed reads back.

mod beyond;
mod classic;
mod expression;
mod refused;

use std::path::{Path, PathBuf};

use doppel::device::Act;
use doppel::groups::{Attach, Grouping};
use doppel::matching::{Rule, Steps};
use doppel::nn::text::TextPool;
use doppel::nn::{GlobalPool, ImageOptions};
use doppel::recipe::{
    After, Conflicts, EncoderSpec, Expansion, Framing, Of, PairRule, Published, PublishedWeights,
    Recipe, Space, Step, TextSpec, Tuned, Weight, catalogue,
};
use doppel::refine::{Blend, Expand};
use doppel::search::Fuse;
use doppel::text::tfidf::{
    Analyzer, Df, Norm, StopWords, StripAccents, TfidfOptions, TokenPattern,
};

/// Some recipes of the repository's folder.
pub const SHIPPED: [(&str, &str); 4] = [
    ("default", include_str!("../../recipes/default.toml")),
    ("tan-final", include_str!("../../recipes/tan-final.toml")),
    ("inb", include_str!("../../recipes/inb.toml")),
    ("joint", include_str!("../../recipes/joint.toml")),
];

#[track_caller]
pub fn parsed(text: &str) -> Recipe {
    Recipe::parse(text, Path::new("")).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Prints and reads again.
#[track_caller]
fn comes_back(recipe: &Recipe) {
    recipe.check().unwrap();
    let text = recipe.to_toml();
    assert_eq!(&parsed(&text), recipe, "{text}");
    assert_eq!(parsed(&text).to_toml(), text);
}

fn shipped(name: &str) -> Recipe {
    let found = SHIPPED.iter().find(|(other, _)| *other == name).unwrap();
    parsed(found.1)
}

#[test]
fn the_recipes_of_the_folder_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut files = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let recipe = Recipe::read(&path).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(path.file_stem().unwrap().to_str(), Some(&recipe.name[..]));
        comes_back(&recipe);
        files += 1;
    }
    assert_eq!(files, catalogue::names().count());
    for (name, text) in SHIPPED {
        let recipe = parsed(text);
        assert_eq!(recipe.name, name);
        comes_back(&recipe);
    }
}

#[test]
fn the_default_file_is_the_default_recipe() {
    let default = Recipe::default_with(None, None);
    assert_eq!(shipped("default"), default);
    comes_back(&default);
    let given = Recipe::default_with(Some(Of::Given), Some(Of::File("t.npy".into())));
    comes_back(&given);
}

#[test]
fn tans_final_system() {
    let recipe = shipped("tan-final");
    let names: Vec<&str> = recipe.spaces.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["b3", "b5", "nfnet", "photo", "words", "title"]);
    assert_eq!(recipe.fusion, Rule::tan_final(3, 4, 5));
    assert_eq!((recipe.neighbours, recipe.matches), (50, 50));
    let image = |arch: &str, weights: &str| Of::Image {
        encoder: EncoderSpec {
            options: ImageOptions {
                size: Some(512),
                ..ImageOptions::new(arch)
            },
            weights: weights.into(),
            mmap: true,
            framing: Framing::Squash,
            orient: true,
        },
        batch: None,
    };
    assert_eq!(recipe.spaces[0].of, image("efficientnet_b3", "b3"));
    assert_eq!(recipe.spaces[2].of, image("eca_nfnet_l0", "nfnet"));
    let photo = &recipe.spaces[3];
    assert_eq!(photo.of, Of::Concat(vec![(0, 0.7), (1, 0.8), (2, 1.0)]));
    let expand = Expand { k: 2, alpha: 3.0 };
    assert_eq!(photo.refine, [Step::Expand(expand)]);
    let title = TextSpec {
        pool: Some(TextPool::Cls),
        ..TextSpec::new("sbert")
    };
    let of = Of::Text {
        encoder: title,
        decode_escapes: false,
    };
    assert_eq!(recipe.spaces[5].of, of);
}

#[test]
fn spaces_stand_behind_what_they_rest_on() {
    let recipe = shipped("joint");
    let names: Vec<&str> = recipe.spaces.iter().map(|s| s.name.as_str()).collect();
    // photo blends by joint, which is made of the plain ones; else the order of the file.
    let expected = [
        "phash",
        "plain_photo",
        "plain_title",
        "joint",
        "photo",
        "title",
        "either",
        "power",
    ];
    assert_eq!(names, expected);
    let Step::Blend { blend, by, .. } = recipe.spaces[4].refine[0] else {
        panic!("{:?}", recipe.spaces[4]);
    };
    assert_eq!(by, Some(3));
    assert_eq!((blend.distance, blend.min2), (0.1, Some(0.4)));
    let power = Of::Fused {
        spaces: vec![(4, 1.0 / 0.84), (5, 1.0 / 0.84)],
        by: Fuse::Power(6.0),
    };
    assert_eq!(recipe.spaces[7].of, power);
    let expected = Rule::Union(vec![
        Rule::Equal { source: 0 },
        Rule::threshold(6, 0.12),
        // A power sum above 1 is a similarity above .5.
        Rule::threshold(7, 0.5),
        Rule::threshold(4, 0.35)
            .and(Rule::threshold(5, 0.3))
            .reciprocal(),
    ]);
    assert_eq!(recipe.fusion, expected);
}

fn published() -> Published {
    Published {
        system: "Some\u{1} \"one\"".into(),
        paper: "paper".into(),
        place: "Table 2, row 1".into(),
        metric: "F1".into(),
        score: Some(0.715),
        split: Some("private".into()),
        listings: Some(70_000),
        also: vec![("public leader board".into(), 1.0), ("x".into(), 0.25)],
        notes: vec!["one".into(), "two\nlines".into()],
        weights: vec![
            PublishedWeights {
                space: "photo".into(),
                name: "timm/x".into(),
                trained: None,
            },
            PublishedWeights {
                space: "Given_2".into(),
                name: "y".into(),
                trained: Some("so".into()),
            },
        ],
    }
}

/// A recipe with every key of the format off its default.
fn everything() -> Recipe {
    let words = TfidfOptions {
        analyzer: Analyzer::CharWb,
        ngram: (3, 5),
        stop_words: StopWords::List(vec!["dan".into(), "\"di\"\\\n\u{1}\t€".into()]),
        max_features: Some(25_000),
        min_df: Df::Count(2),
        max_df: Df::Fraction(0.3),
        binary: true,
        sublinear_tf: true,
        smooth_idf: false,
        use_idf: false,
        norm: Norm::L1,
        lowercase: false,
        strip_accents: StripAccents::Unicode,
        token_pattern: TokenPattern::Regex(r"(?u)\b\w+\b".into()),
    };
    let image = Of::Image {
        encoder: EncoderSpec {
            options: ImageOptions {
                arch: "efficientnet_b1".into(),
                size: Some(288),
                activation: Some(Act::Mish),
                pool: Some(GlobalPool::Gem),
                raw: true,
            },
            weights: "a b/c.safetensors".into(),
            mmap: false,
            framing: Framing::Timm,
            orient: false,
        },
        batch: Some(16),
    };
    let text = Of::Text {
        encoder: TextSpec {
            weights: "sbert".into(),
            pool: Some(TextPool::Mean),
            max_tokens: Some(70),
            raw: true,
            mmap: false,
        },
        decode_escapes: true,
    };
    let mut spaces = vec![
        Space::new("phash", Of::Phash),
        Space::new(
            "words",
            Of::Tfidf {
                options: words,
                decode_escapes: true,
            },
        ),
        Space::new("photo", image),
        Space::new("title", text),
        Space {
            euclidean: Some(6.5),
            ..Space::new("other-1", Of::File("x.npy".into()))
        },
        Space::new("Given_2", Of::Given),
        Space::new("side", Of::Concat(vec![(3, 1e-3), (2, 1.0 / 3.0)])),
    ];
    for by in [Fuse::Mean, Fuse::Either, Fuse::Power(5.5)] {
        let of = Of::Fused {
            spaces: vec![(2, 0.25), (1, 1.0), (6, 0.0)],
            by,
        };
        spaces.push(Space::new(&format!("f{}", spaces.len()), of));
    }
    spaces.push(Space::new("rank", Of::Ranked(6)));
    let blend = |distance, min2| Blend { distance, min2 };
    use doppel::text::clean::CleanStep::{Escapes, StemIndonesian};
    spaces[1].clean = vec![Escapes, StemIndonesian];
    spaces[6].refine = vec![
        Step::Expand(Expand { k: 3, alpha: 0.5 }),
        Step::ExpandBy(Expansion {
            expand: Expand { k: 2, alpha: 0.5 },
            weight: Weight::OnePlus,
            beside: true,
        }),
        Step::Blend {
            blend: blend(0.5, Some(0.6)),
            by: None,
            conflicts: Conflicts { units: true },
        },
        Step::Blend {
            blend: blend(1e-7, None),
            by: Some(0),
            conflicts: Conflicts::default(),
        },
    ];
    Recipe {
        name: "every \"thing\" {x}".into(),
        about: Some("two\nlines # and no comment".into()),
        source: Some("paper, table 1".into()),
        neighbours: 100,
        matches: 40,
        spaces,
        fusion: Rule::Equal { source: 0 }
            .or(Rule::sweep().over(8, Steps::BERT).rule())
            .min2(9, 0.5),
        after: After {
            pair_model: Some(PairRule {
                file: "m/pairs.json".into(),
                above: Some(0.25),
                calibrated: true,
            }),
            conflicts: Conflicts { units: true },
            groups: Some(Grouping::Attach(Attach {
                start: 0.25,
                attach: 0.5,
                merge: 1e-9,
            })),
            chisel: vec![(1, 0.1), (2, 1.0 / 3.0), (50, 0.0)],
        },
        tuned: Some(Tuned {
            listings: 34_250,
            f1: Some(0.73),
        }),
        published: Some(published()),
    }
}

#[test]
fn every_key_comes_back() {
    comes_back(&everything());
    let file = everything().to_toml();
    for key in [
        "about",
        "source",
        "tuned",
        "listings",
        "f1",
        "weights",
        "size",
        "crop",
        "activation",
        "pool",
        "raw",
        "exif",
        "batch",
        "mmap",
        "max_tokens",
        "decode_escapes",
        "file",
        "given",
        "concat",
        "fused",
        "by",
        "power",
        "refine",
        "analyzer",
        "ngram",
        "stop_words",
        "max_features",
        "min_df",
        "max_df",
        "binary",
        "sublinear_tf",
        "smooth_idf",
        "use_idf",
        "norm",
        "lowercase",
        "strip_accents",
        "token_pattern",
        "expand",
        "blend",
        "min2",
        "clean",
        "conflicts",
        "pair_model",
        "groups",
        "chisel",
        "ranked",
        "weight",
        "beside",
        "system",
        "paper",
        "where",
        "metric",
        "score",
        "split",
        "also",
        "notes",
        "trained",
        "euclidean",
    ] {
        assert!(
            file.contains(&format!("{key} = ")) || file.contains(key),
            "{key}"
        );
    }
}

#[test]
fn counts_and_shares_of_titles_are_told_apart() {
    for df in [
        Df::Count(1),
        Df::Count(7),
        Df::Count(u64::from(u32::MAX)),
        Df::Fraction(0.0),
        Df::Fraction(1.0),
        Df::Fraction(1e-7),
        Df::Fraction(0.3),
    ] {
        let options = TfidfOptions {
            min_df: df,
            max_df: df,
            ..TfidfOptions::default()
        };
        let mut recipe = Recipe::default_with(None, None);
        recipe.spaces[1].of = Of::Tfidf {
            options,
            decode_escapes: false,
        };
        comes_back(&recipe);
    }
}

#[test]
fn the_order_of_columns_is_the_order_written() {
    let text = "name = 'x'\nfusion = 'c < .1'\n[spaces]\nb.given = true\na.given = true\n\
                c.concat = { b = 2, a = 1 }\n";
    let recipe = parsed(text);
    assert_eq!(recipe.spaces[2].of, Of::Concat(vec![(0, 2.0), (1, 1.0)]));
    let turned = parsed(&text.replace("b = 2, a = 1", "a = 1, b = 2"));
    assert_eq!(turned.spaces[2].of, Of::Concat(vec![(1, 1.0), (0, 2.0)]));
    comes_back(&recipe);
}

#[test]
fn what_is_not_said_has_a_default() {
    let recipe = parsed("name = 'x'\nfusion = 'a < .1'\nspaces.a.tfidf = {}\n");
    assert_eq!((recipe.neighbours, recipe.matches), (50, 50));
    assert_eq!(
        (recipe.about, recipe.source, recipe.tuned),
        (None, None, None)
    );
    let options = TfidfOptions::default();
    let of = Of::Tfidf {
        options,
        decode_escapes: false,
    };
    assert_eq!(recipe.spaces, [Space::new("a", of)]);
    let text = "name = 'x'\nfusion = 'a < .1 or b < .1'\nspaces.a.image = 'timm:resnet18'\n\
                spaces.b.text = 'hf:'\n";
    let recipe = parsed(text);
    let Of::Image { encoder, batch } = &recipe.spaces[0].of else {
        panic!("{recipe:?}");
    };
    assert_eq!(encoder.options, ImageOptions::new("resnet18"));
    assert_eq!((encoder.mmap, encoder.orient, batch), (true, true, &None));
    // Weights that are not said come from the command line.
    assert_eq!(encoder.weights, PathBuf::new());
    let Of::Text { encoder, .. } = &recipe.spaces[1].of else {
        panic!("{recipe:?}");
    };
    assert_eq!(encoder, &TextSpec::new(""));
    comes_back(&recipe);
}

#[test]
fn paths_are_taken_from_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    let text = "name = 'x'\nfusion = 'a < .1'\n[spaces.a]\nfile = 'sub/a.npy'\n\
                [spaces.b]\nfile = '/data/b.npy'\n[spaces.c]\ntext = 'hf:'\nweights = 'w'\n\
                [spaces.d]\nimage = 'timm:resnet18'\n";
    std::fs::write(&path, text).unwrap();
    let recipe = Recipe::read(&path).unwrap();
    let file = |i: usize| match &recipe.spaces[i].of {
        Of::File(path) => path.clone(),
        Of::Text { encoder, .. } => encoder.weights.clone(),
        Of::Image { encoder, .. } => encoder.weights.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(file(0), folder.path().join("sub/a.npy"));
    assert_eq!(file(1), Path::new("/data/b.npy"));
    assert_eq!(file(2), folder.path().join("w"));
    assert_eq!(file(3), PathBuf::new());
    comes_back(&recipe);
}

#[test]
fn a_byte_order_mark_and_crlf_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in SHIPPED {
        let path = folder.path().join(format!("{name}.toml"));
        let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        std::fs::write(&path, windows).unwrap();
        let plain = Recipe::parse(text, folder.path()).unwrap();
        assert_eq!(Recipe::read(&path).unwrap(), plain);
    }
}

/// What stands between backticks in `text`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn what_the_description_shows_is_so() {
    let description = include_str!("../../docs/recipes.md");
    let examples: Vec<&str> = description
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(examples.len(), 3);
    for text in examples {
        comes_back(&parsed(text));
    }
    let names = ["photo", "words", "title", "a", "b"];
    let ladder = description
        .lines()
        .filter(|l| l.starts_with("| NFNet") || l.starts_with("| DT("));
    let expressions: Vec<&str> = ladder.flat_map(quoted).collect();
    assert_eq!(expressions.len(), 6);
    let swept = quoted(description).filter(|text| text.starts_with("sweep(a"));
    for text in expressions.into_iter().chain(swept) {
        doppel::recipe::rule_from_text(text, &names).unwrap_or_else(|e| panic!("{e}\n{text}"));
    }
    // Every key that a recipe can have is described.
    let described: Vec<&str> = quoted(description).collect();
    let file = everything().to_toml();
    let keys = file.lines().take_while(|l| *l != "[published.weights]");
    for line in keys {
        let key = line.split(" = ").next().unwrap();
        let known = line.starts_with('[') || line.is_empty() || described.contains(&key);
        assert!(known, "{key}");
    }
}
