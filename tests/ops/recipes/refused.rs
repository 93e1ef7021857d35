//! What is wrong with a recipe is one line with the line, the key and the mend.

use std::path::Path;

use doppel::matching::Rule;
use doppel::recipe::{Of, Recipe, Space, Step};
use doppel::refine::{Blend, Expand};
use doppel::search::Fuse;

/// What is wrong with `text`.
#[track_caller]
fn wrong(text: &str) -> String {
    match Recipe::parse(text, Path::new("")) {
        Ok(recipe) => panic!("{text}: {recipe:?}"),
        Err(error) => {
            let shown = error.to_string();
            assert_eq!(shown.lines().count(), 1, "{shown}");
            assert!(shown.len() < 600, "{} bytes", shown.len());
            shown
        }
    }
}

/// A recipe with these lines after its first two, the first of them line 3.
fn with(lines: &str) -> String {
    format!("name = 'x'\nfusion = 'a < .1'\n{lines}\n")
}

#[test]
fn what_is_missing_or_no_toml() {
    for (text, said) in [
        ("", "there is no name; give the recipe one"),
        ("name = 'x'\nfusion = ''", "there is no spaces; say what"),
        (
            "name = 'x'\n[spaces.a]\ngiven = true",
            "there is no fusion; say which neighbours",
        ),
        (
            "name = 'x'\nfusion = 'a < .1'\n[spaces]",
            "line 3: spaces is empty; say what",
        ),
        ("name = ", "line 1: is not TOML"),
        (
            "name = 'x'\nname = 'y'",
            "line 2: is not TOML: duplicate key",
        ),
        (
            "name = 'x'\n[spaces.a]\n[spaces.a]",
            "line 3: is not TOML: duplicate key",
        ),
        ("a\rb = 2", "line 1: is not TOML"),
        (
            "name = 'x'\nneighbours = .5",
            "begin the number with a digit, as in 0.5",
        ),
    ] {
        let error = wrong(text);
        assert!(error.contains(said), "{text}: {error}");
    }
    let error = wrong(&with("[spaces.a]\nconcat = { b = .5 }"));
    assert!(
        error.contains("line 4: is not TOML") && error.contains("as in 0.5"),
        "{error}"
    );
}

#[test]
fn keys_and_types() {
    for (lines, said) in [
        (
            "nmae = 3",
            "line 3: nmae is no key of a recipe; did you mean name?",
        ),
        (
            "frobnicate = 3",
            "line 3: frobnicate is no key of a recipe; its keys are name, about",
        ),
        (
            "about = 3\nspaces.a.given = true",
            "about is a whole number; give text in quotes",
        ),
        (
            "neighbours = 'x'\nspaces.a.given = true",
            "line 3: neighbours is text in quotes; give a",
        ),
        (
            "neighbours = 1.5\nspaces.a.given = true",
            "neighbours is a number with a fraction",
        ),
        (
            "neighbours = -1\nspaces.a.given = true",
            "line 3: neighbours is negative",
        ),
        (
            "neighbours = 1\nspaces.a.given = true",
            "line 3: 1 neighbours; give 2 to 1024",
        ),
        (
            "neighbours = 99999\nspaces.a.given = true",
            "line 3: 99999 neighbours; give 2 to 1024",
        ),
        (
            "matches = 51\nspaces.a.given = true",
            "line 3: 51 matches; give 1 to 50",
        ),
        (
            "matches = 0\nspaces.a.given = true",
            "line 3: 0 matches; give 1 to 50",
        ),
        (
            "matches = 999999999999999999999999\nspaces.a.given = true",
            "line 3: ",
        ),
        (
            "spaces = 3",
            "line 3: spaces is a whole number; give a table",
        ),
        (
            "spaces.a = true",
            "line 3: spaces.a is true or false; give a table",
        ),
        (
            "spaces.a.given = 1",
            "line 3: spaces.a.given is a whole number; give true or false",
        ),
        (
            "spaces.a.given = false",
            "spaces.a.given is false; give true",
        ),
        (
            "spaces.a.phash = false",
            "spaces.a.phash is false; give true",
        ),
        (
            "[spaces.a]",
            "line 3: spaces.a does not say what it is; give one of phash, tfidf",
        ),
        (
            "[spaces.a]\nimge = 'timm:resnet18'",
            "spaces.a.imge is no key of a space; did you mean image?",
        ),
        (
            "[spaces.a]\nphash = true\ngiven = true",
            "line 5: spaces.a is both a space of hashes and a space that is given; leave phash or given out",
        ),
        (
            "[spaces.a]\ntext = 'hf:'\nsize = 3",
            "line 5: spaces.a.size is no key of a space of titles",
        ),
        (
            "[spaces.a]\nimage = 'timm:resnet18'\ncorp = 'timm'",
            "line 5: spaces.a.corp is no key of a space of images; did you mean crop?",
        ),
        (
            "[spaces.a]\nimage = 'timm:resnet18'\ncrop = 'tim'",
            "line 5: spaces.a.crop is \"tim\"; give \"squash\" or \"timm\"",
        ),
        (
            "[spaces.a]\nimage = 'timm:resnet18'\npool = 'cls'",
            "give \"avg\" or \"gem\"",
        ),
        (
            "[spaces.a]\nimage = 'timm:resnet18'\nsize = 0",
            "line 3: space a: ",
        ),
        (
            "[spaces.a]\nimage = 'timm:resnet18'\nbatch = 0",
            "space a: a batch of 0 items",
        ),
        (
            "[spaces.a]\nimage = 'timm:resnet18'\nweights = ''",
            "line 5: spaces.a.weights is empty",
        ),
        (
            "[spaces.a]\nimage = 'timm:resnet19'",
            "line 4: spaces.a.image: \"resnet19\" is not an encoder; the nearest names are",
        ),
        (
            "[spaces.a]\nimage = 'resnet18'",
            "line 4: spaces.a.image is \"resnet18\"; give \"timm:ARCH\"",
        ),
        (
            "[spaces.a]\ntext = 'bert'",
            "spaces.a.text is \"bert\"; give \"hf:\"",
        ),
        (
            "[spaces.a]\ntext = 'hf:'\nmax_tokens = 0",
            "space a: 0 tokens (max_tokens)",
        ),
        (
            "[spaces.a]\ntfidf = true",
            "spaces.a.tfidf is true or false; give a table",
        ),
        (
            "[spaces.a]\ntfidf = { ngram_range = [1, 2] }",
            "spaces.a.tfidf.ngram_range is no key of TF-IDF; did you mean ngram?",
        ),
        (
            "[spaces.a]\ntfidf = { ngram = [1] }",
            "spaces.a.tfidf.ngram has 1 numbers",
        ),
        (
            "[spaces.a]\ntfidf = { ngram = [2, 1] }",
            "line 4: spaces.a.tfidf: ngram: 2,1 is not a range",
        ),
        (
            "[spaces.a]\ntfidf = { stop_words = 'indonesian' }",
            "give \"english\" or \"none\"",
        ),
        (
            "[spaces.a]\ntfidf = { stop_words = [3] }",
            "spaces.a.tfidf.stop_words[1] is a whole number",
        ),
        (
            "[spaces.a]\ntfidf = { min_df = 1.5 }",
            "1.5 is not a share of the titles",
        ),
        (
            "[spaces.a]\ntfidf = { min_df = 0 }",
            "0 titles mean nothing",
        ),
        (
            "[spaces.a]\ntfidf = { max_df = nan }",
            "is no finite number",
        ),
        (
            "[spaces.a]\ntfidf = { token_pattern = '(' }",
            "token_pattern",
        ),
        ("[spaces.a]\nfile = ''", "spaces.a.file is empty"),
        (
            "[spaces.a]\nfile = 1979-05-27",
            "spaces.a.file is a date; give text",
        ),
        (
            "spaces.a.given = true\n[tuned]\nf1 = 0.7",
            "line 4: tuned does not say on how many",
        ),
        (
            "spaces.a.given = true\ntuned = { listings = 3, f2 = 1 }",
            "did you mean f1?",
        ),
        (
            "spaces.a.given = true\ntuned = { listings = 3, f1 = 1.5 }",
            "the tuned F1 is 1.5",
        ),
    ] {
        let error = wrong(&with(lines));
        assert!(error.contains(said), "{lines}: {error}");
    }
}

#[test]
fn names_and_what_spaces_rest_on() {
    let many: String = (0..65)
        .map(|i| format!("[spaces.s{i}]\ngiven = true\n"))
        .collect();
    let long = format!("spaces.{}.given = true", "a".repeat(41));
    for (lines, said) in [
        (
            "[spaces.b]\ngiven = true",
            "line 2: fusion: character 1: there is no space `a`; the spaces are b",
        ),
        (
            "[spaces.aa]\ngiven = true",
            "there is no space `a`; did you mean aa?",
        ),
        (
            "spaces.or.given = true",
            "line 3: a space is called or, a word of the fusion",
        ),
        (
            "spaces.'a b'.given = true",
            "a space is called \"a b\"; use letters",
        ),
        ("spaces.3d.given = true", "a space is called \"3d\""),
        ("spaces.''.given = true", "a space is called \"\""),
        (
            &long,
            "line 3: the name of the space aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa... is long; 40",
        ),
        (&many, "there are 65 spaces; 64 are the most"),
        (
            "[spaces.a]\nconcat = { b = 1 }",
            "line 4: spaces.a.concat.b: there is no space \"b\"; the spaces are a",
        ),
        (
            "[spaces.a]\nconcat = { a = 1 }",
            "line 3: spaces.a rests on itself",
        ),
        (
            "[spaces.a]\nconcat = { b = 1 }\n[spaces.b]\nfused = { c = 1 }\n[spaces.c]\nconcat = { a = 1 }",
            "line 3: the spaces rest on each other: a on b on c on a",
        ),
        (
            "[spaces.a]\ngiven = true\nrefine = [{ blend = { distance = 0.5, by = 'a' } }]",
            "spaces.a rests on itself; a blend without `by`",
        ),
        (
            "[spaces.a]\ngiven = true\nrefine = [{ blend = { distance = 0.5, by = 'x' } }]",
            "line 5: spaces.a.refine[1].blend.by: there is no space \"x\"",
        ),
        (
            "[spaces.a]\nconcat = {}",
            "space a: it is made of no spaces",
        ),
        (
            "[spaces.a]\nconcat = ['b']\n[spaces.b]\ngiven = true",
            "spaces.a.concat is a list; give a table",
        ),
        (
            "[spaces.a]\nconcat = { b = 'x' }\n[spaces.b]\ngiven = true",
            "spaces.a.concat.b is text in quotes; give a number",
        ),
        (
            "[spaces.a]\nconcat = { b = 0 }\n[spaces.b]\ngiven = true",
            "space a: a weight is 0; give a weight above 0",
        ),
        (
            "[spaces.a]\nconcat = { b = -1 }\n[spaces.b]\ngiven = true",
            "space a: a weight is -1",
        ),
        (
            "[spaces.a]\nconcat = { b = inf }\n[spaces.b]\ngiven = true",
            "spaces.a.concat.b is no finite number",
        ),
        (
            "[spaces.a]\nconcat = { b = 1e400 }\n[spaces.b]\ngiven = true",
            "line 4: ",
        ),
        (
            "[spaces.a]\nconcat = { b = 1 }\n[spaces.b]\nphash = true",
            "line 3: space a: its part b holds hashes",
        ),
        (
            "[spaces.a]\nconcat = { b = 1 }\n[spaces.b]\nfused = { c = 1 }\n[spaces.c]\ngiven = true",
            "its part b is fused, and has no rows",
        ),
        (
            "[spaces.a]\nfused = { b = 1 }\n[spaces.b]\nphash = true",
            "its part b holds hashes",
        ),
        (
            "[spaces.a]\nfused = { b = 1 }\n[spaces.b]\nfused = { c = 1 }\n[spaces.c]\ngiven = true",
            "its part b is fused itself",
        ),
        (
            "[spaces.a]\nfused = { b = 0 }\n[spaces.b]\ngiven = true",
            "the weight of every space is 0",
        ),
        (
            "[spaces.a]\nfused = { b = 1 }\nby = 'sum'\n[spaces.b]\ngiven = true",
            "line 5: spaces.a.by is \"sum\"; give \"mean\" or \"either\" or \"power\"",
        ),
        (
            "[spaces.a]\nfused = { b = 1 }\nby = 'power'\n[spaces.b]\ngiven = true",
            "spaces.a is by \"power\", and does not say which",
        ),
        (
            "[spaces.a]\nfused = { b = 1 }\npower = 2\n[spaces.b]\ngiven = true",
            "spaces.a has a power, and is not by \"power\"",
        ),
        (
            "[spaces.a]\nfused = { b = 1 }\nby = 'power'\npower = 0\n[spaces.b]\ngiven = true",
            "space a: the power is 0",
        ),
        (
            "[spaces.a]\nfused = { b = 2 }\nby = 'either'\n[spaces.b]\ngiven = true",
            "the weight of b is 2; use a weight from 0 to 1",
        ),
    ] {
        let error = wrong(&with(lines));
        assert!(error.contains(said), "{lines}: {error}");
    }
}

#[test]
fn steps() {
    for (refine, said) in [
        (
            "3",
            "line 5: spaces.a.refine is a whole number; give a list",
        ),
        ("[3]", "spaces.a.refine[1] is a whole number; give a table"),
        (
            "[{}]",
            "spaces.a.refine[1] is no step; give { expand = ... }",
        ),
        (
            "[{ expnd = 3 }]",
            "spaces.a.refine[1].expnd is no key of a step; did you mean expand?",
        ),
        (
            "[{ expand = { k = 2, alpha = 3 }, blend = { distance = 0.5 } }]",
            "spaces.a.refine[1] is two steps in one",
        ),
        (
            "[{ expand = { k = 2 } }]",
            "spaces.a.refine[1].expand has no alpha",
        ),
        (
            "[{ expand = { k = 0, alpha = 3 } }]",
            "line 5: space a: k is 0; average 1 to 1024 rows",
        ),
        (
            "[{ expand = { k = 2, alpha = -1 } }]",
            "space a: alpha is -1",
        ),
        (
            "[{ expand = { k = 2, alpha = inf } }]",
            "spaces.a.refine[1].expand.alpha is no finite number",
        ),
        (
            "[{ blend = {} }]",
            "spaces.a.refine[1].blend has no distance",
        ),
        (
            "[{ blend = { distance = 2.5 } }]",
            "space a: distance is 2.5; give a cosine distance",
        ),
        (
            "[\n{ expand = { k = 2, alpha = 3 } },\n{ blend = { distance = 0.5, min2 = 0.4 } } ]",
            "line 7: space a: min2 is 0.4, below the distance 0.5",
        ),
        (
            "[{ blend = { distance = 0.5, min2 = 3 } }]",
            "space a: min2 is 3; give a cosine distance",
        ),
    ] {
        let error = wrong(&with(&format!(
            "[spaces.a]\ngiven = true\nrefine = {refine}"
        )));
        assert!(error.contains(said), "{refine}: {error}");
    }
    let many = "{ expand = { k = 2, alpha = 3 } },".repeat(33);
    let error = wrong(&with(&format!(
        "[spaces.a]\ngiven = true\nrefine = [{many}]"
    )));
    assert!(
        error.contains("spaces.a.refine has 33 steps; 32 are the most"),
        "{error}"
    );
    let step = "refine = [{ blend = { distance = 0.5 } }]";
    let error = wrong(&with(&format!("[spaces.a]\nphash = true\n{step}")));
    assert!(
        error.contains("line 5: space a: hashes are not rows"),
        "{error}"
    );
    let fused = format!("[spaces.a]\nfused = {{ b = 1 }}\n{step}\n[spaces.b]\ngiven = true");
    let error = wrong(&with(&fused));
    assert!(
        error.contains("line 5: space a: a fused space has no rows to refine"),
        "{error}"
    );
}

#[test]
fn rules() {
    let rule = |expression: &str| {
        wrong(&format!(
            "name = 'x'\nspaces.a.given = true\nfusion = '{expression}'\n"
        ))
    };
    let error = rule("a < ");
    assert!(
        error.starts_with("line 3: fusion: character 5: the expression ends"),
        "{error}"
    );
    let error = rule("equal(a) or a < .2");
    assert!(
        error.contains("line 3: the rule takes a both by equality and by distance; write a small"),
        "{error}"
    );
}

#[test]
fn recipes_built_in_code() {
    let base = || Recipe {
        spaces: vec![
            Space::new("a", Of::Given),
            Space::new("b", Of::Concat(vec![(0, 1.0)])),
        ],
        fusion: Rule::threshold(1, 0.3),
        ..Recipe::default_with(None, None)
    };
    base().check().unwrap();
    let broken = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = base();
        change(&mut recipe);
        let error = recipe.check().unwrap_err().to_string();
        // What is refused when it is built is not read either.
        let read = Recipe::parse(&recipe.to_toml(), Path::new(""));
        assert!(read.is_err(), "{error}: {}", recipe.to_toml());
        error
    };
    let blend = |distance, by| Step::Blend {
        blend: Blend {
            distance,
            min2: None,
        },
        by,
        conflicts: Default::default(),
    };
    for (error, said) in [
        (broken(&|r| r.name = " ".into()), "the recipe's name"),
        (broken(&|r| r.name = "a\nb".into()), "the recipe's name"),
        (broken(&|r| r.spaces.clear()), "0 spaces"),
        (
            broken(&|r| r.spaces[1].name = "a".into()),
            "two spaces are called a",
        ),
        (
            broken(&|r| r.spaces[0].name = "sweep".into()),
            "a word of the fusion",
        ),
        (
            broken(&|r| r.spaces[1].of = Of::Concat(vec![(1, 1.0)])),
            "rests on the space at place 1",
        ),
        (
            broken(&|r| r.spaces[1].of = Of::Concat(vec![(7, 1.0)])),
            "rests on the space at place 7",
        ),
        (
            broken(&|r| r.spaces[1].of = Of::Concat(vec![(0, 1.0), (0, 1.0)])),
            "made of a twice",
        ),
        (
            broken(&|r| r.spaces[1].of = Of::Concat(vec![(0, f64::NAN)])),
            "a weight is NaN",
        ),
        (
            broken(&|r| {
                r.spaces[1].of = Of::Fused {
                    spaces: vec![(0, 1.0)],
                    by: Fuse::Power(f64::NAN),
                };
            }),
            "the power is NaN",
        ),
        (
            broken(&|r| r.spaces[0].of = Of::File("".into())),
            "the file has no name",
        ),
        (
            broken(&|r| r.spaces[0].refine = vec![blend(0.5, Some(0))]),
            "rests on the space at place 0",
        ),
        (
            broken(&|r| r.spaces[0].refine = vec![blend(f64::NAN, None)]),
            "distance is NaN",
        ),
        (
            broken(&|r| {
                let expand = Expand {
                    k: 2000,
                    alpha: 1.0,
                };
                r.spaces[0].refine = vec![Step::Expand(expand)];
            }),
            "k is 2000",
        ),
        (
            broken(&|r| r.spaces[0].refine = vec![blend(0.5, None); 33]),
            "33 steps",
        ),
        (
            broken(&|r| r.fusion = Rule::threshold(2, 0.3)),
            "source 2 of 2",
        ),
        (
            broken(&|r| r.fusion = Rule::threshold(0, f64::NAN)),
            "threshold is NaN",
        ),
        (broken(&|r| r.fusion = Rule::Union(vec![])), "of nothing"),
        (
            broken(&|r| r.fusion = Rule::Union(vec![Rule::threshold(0, 0.3); 10_000])),
            "bytes as an expression",
        ),
    ] {
        assert!(error.contains(said), "{error}");
    }
}
