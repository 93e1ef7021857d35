//! ops: what recipes do behind their rules, run on listings

use std::path::Path;
use std::sync::Arc;

use doppel::Result;
use doppel::listings::Listings;
use doppel::recipe::{self, Given, Job, Outcome, Quiet, Recipe, Side};
use doppel::tensor::{Matrix, Rows};

fn listings(folder: &Path, titles: &[&str]) -> Listings {
    let path = folder.join("listings.csv");
    let mut text = String::from("posting_id,title\n");
    for (i, title) in titles.iter().enumerate() {
        text += &format!("p{i},\"{title}\"\n");
    }
    std::fs::write(&path, text).unwrap();
    Listings::read(&path).unwrap()
}

/// Matches titles, whose rows stand at these angles in degrees, by the recipe of `keys` over the space `a`
/// and what stands behind it in `spaces`.
fn run(of: &[(&str, f32)], keys: &str, spaces: &str) -> Result<Outcome> {
    let folder = tempfile::tempdir().unwrap();
    let titles: Vec<&str> = of.iter().map(|t| t.0).collect();
    let listings = listings(folder.path(), &titles);
    let mut rows = Matrix::zeros(of.len(), 2);
    for (i, (_, degrees)) in of.iter().enumerate() {
        let angle = degrees.to_radians();
        rows.row_mut(i).copy_from_slice(&[angle.cos(), angle.sin()]);
    }
    let text = format!("name = 'x'\n{keys}\n[spaces.a]\ngiven = true\n{spaces}\n");
    let recipe = Recipe::parse(&text, Path::new(""))?;
    let job = Job {
        side: Side {
            given: vec![("a".into(), Given::Rows(Arc::new(Rows::Dense(rows))))],
            ..Side::new(&listings)
        },
        ..Job::new(&listings, &recipe, doppel::device::open("cpu")?)
    };
    recipe::run(&job, &Quiet)
}

#[track_caller]
fn answers(of: &[(&str, f32)], keys: &str, spaces: &str) -> Vec<Vec<u32>> {
    run(of, keys, spaces).unwrap().matches.answers()
}

const SUGAR: [(&str, f32); 4] = [
    ("gula pasir 200 g", 0.0),
    ("gula 500gr", 1.5),
    ("gula pasir", 4.0),
    ("gula pasir 1/2 kg", 90.0),
];

#[test]
fn pairs_of_other_quantities_do_not_match() {
    let rule = "fusion = 'a < .1'";
    let plain = answers(&SUGAR, rule, "");
    assert_eq!(
        plain,
        [vec![0, 1, 2], vec![1, 0, 2], vec![2, 1, 0], vec![3]]
    );
    let kept = answers(&SUGAR, &format!("{rule}\nconflicts = ['units']"), "");
    assert_eq!(kept, [vec![0, 2], vec![1, 2], vec![2, 1, 0], vec![3]]);
}

#[test]
fn neighbours_of_other_quantities_are_not_blended() {
    let rows = |conflicts: &str| {
        let blend = format!("refine = [{{ blend = {{ distance = 0.1{conflicts} }} }}]");
        // Rows 0 and 1 move to 1 degree together when they blend.
        let of = [("gula 200 g", 0.0), ("gula 500 g", 20.0)];
        answers(&of, "fusion = 'a < .01'", &blend)
    };
    assert_eq!(rows(""), [vec![0, 1], vec![1, 0]]);
    assert_eq!(rows(", conflicts = ['units']"), [vec![0], vec![1]]);
}

#[test]
fn against_a_gallery_conflicts_alone_have_a_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let sides: Vec<Listings> = ["new", "old"]
        .iter()
        .zip([
            &["gula 200 g", "gula"][..],
            &["gula 500 gr", "gula 200gr"][..],
        ])
        .map(|(name, titles)| {
            let inside = folder.path().join(name);
            std::fs::create_dir(&inside).unwrap();
            listings(&inside, titles)
        })
        .collect();
    let answers = |keys: &str| {
        let text = format!("name = 'x'\nfusion = 'a < 1.5'\n{keys}\n[spaces.a]\ntfidf = {{}}");
        let recipe = Recipe::parse(&text, Path::new("")).unwrap();
        let job = Job {
            against: Some(Side::new(&sides[1])),
            ..Job::new(&sides[0], &recipe, doppel::device::open("cpu").unwrap())
        };
        recipe::run(&job, &Quiet).map(|outcome| outcome.matches.answers())
    };
    let sorted = |keys: &str| {
        let mut found = answers(keys).unwrap();
        found.iter_mut().for_each(|row| row.sort_unstable());
        found
    };
    assert_eq!(sorted(""), [vec![0, 1], vec![0, 1]]);
    assert_eq!(sorted("conflicts = ['units']"), [vec![1], vec![0, 1]]);
    for keys in [
        "groups = { by = 'attach' }",
        "chisel = [[2, 0.5]]",
        "pair_model = { file = 'none.json' }",
    ] {
        let error = answers(keys).unwrap_err().to_string();
        assert!(error.contains("no meaning against a gallery"), "{error}");
    }
}

/// A chain: each is near the next alone.
const CHAIN: [(&str, f32); 4] = [("a", 0.0), ("b", 20.0), ("c", 40.0), ("d", 120.0)];

#[test]
fn a_chain_becomes_one_group() {
    let rule = "fusion = 'a < .1'";
    assert_eq!(
        answers(&CHAIN, rule, ""),
        [vec![0, 1], vec![1, 0, 2], vec![2, 1], vec![3]]
    );
    let grouped = format!("{rule}\ngroups = {{ by = 'components' }}");
    let outcome = run(&CHAIN, &grouped, "").unwrap();
    let whole = outcome.matches.answers();
    assert_eq!(
        whole,
        [vec![0, 1, 2], vec![1, 0, 2], vec![2, 0, 1], vec![3]]
    );
    assert_eq!(outcome.sources, ["a", "group"]);
    // The weakest pair of the group stands for the pair that no rule matched.
    let evidence = outcome.matches.firings(0);
    let found: Vec<(u32, u16)> = evidence.iter().map(|f| (f.row, f.source)).collect();
    assert_eq!(found, [(1, 0), (2, 1)]);
    assert!(evidence[1].score <= evidence[0].score && evidence[1].score > 0.9);
    let direct = format!("{rule}\ngroups = {{ by = 'components', answer = 'neighbours' }}");
    assert_eq!(
        answers(&CHAIN, &direct, ""),
        [vec![0, 1], vec![1, 0, 2], vec![2, 1], vec![3]]
    );
    let strict = format!("{rule}\ngroups = {{ by = 'attach', attach = 0.99 }}");
    let pairs = answers(&CHAIN, &strict, "");
    assert_eq!(pairs, [vec![0, 1], vec![1, 0], vec![2], vec![3]]);
    let capped = answers(&CHAIN, &format!("matches = 2\n{grouped}"), "");
    assert!(capped.iter().all(|a| a.len() <= 2), "{capped:?}");
    let both = capped
        .iter()
        .enumerate()
        .all(|(i, a)| a.iter().all(|&j| capped[j as usize].contains(&(i as u32))));
    assert!(both, "{capped:?}");
}

#[test]
fn answers_are_chiselled() {
    let rule = "fusion = 'a < .3'\nchisel = [[2, 0.5]]";
    let of = [("a", 0.0), ("b", 10.0), ("c", 21.0), ("d", 120.0)];
    // Half shall have two: of the three with three, those whose third is farthest.
    assert_eq!(
        answers(&of, rule, ""),
        [vec![0, 1], vec![1, 0, 2], vec![2, 1], vec![3]]
    );
}

#[test]
fn cleaned_titles_and_plain_ones_are_two_spaces() {
    let of = [
        ("PROMO sabun", 0.0),
        ("sabun gratis", 90.0),
        ("promo gratis", 180.0),
    ];
    let spaces =
        "[spaces.plain]\ntfidf = {}\n[spaces.clean]\ntfidf = {}\nclean = ['lower', 'promo']";
    let by = |rule: &str| answers(&of, &format!("fusion = '{rule}'"), spaces);
    assert_eq!(
        by("clean < .01 or plain < .01"),
        [vec![0, 1], vec![1, 0], vec![2]]
    );
    assert_eq!(by("plain < .01 and clean < 2"), [vec![0], vec![1], vec![2]]);
}

#[test]
fn percentiles_take_a_share_of_all_pairs() {
    let of = [("a", 0.0), ("b", 10.0), ("c", 30.0), ("d", 120.0)];
    let ranked = "[spaces.r]\nranked = 'a'";
    // Of the twelve pairs, two are of a and b, and two of b and c.
    let by = |rule: &str| answers(&of, &format!("fusion = '{rule}'"), ranked);
    assert_eq!(by("r < .1"), [vec![0, 1], vec![1, 0], vec![2], vec![3]]);
    assert_eq!(
        by("r < .17"),
        [vec![0, 1], vec![1, 0, 2], vec![2, 1], vec![3]]
    );
    assert_eq!(by("min2(r < .1, r < 1)")[3], [3, 2]);
    // Min2 without a condition: the nearest of those that were kept.
    assert_eq!(
        by("min2(a < .01, a < 2)"),
        [vec![0, 1], vec![1, 0], vec![2, 1], vec![3, 2]]
    );
}

#[test]
fn expansions_weigh_and_stand_beside() {
    let expand = |keys: &str| format!("refine = [{{ expand = {{ k = 2, {keys} }} }}]");
    let of = [("a", 0.0), ("b", 60.0), ("c", 180.0)];
    let score = |keys: &str| {
        let outcome = run(&of, "fusion = 'a < 2'", &expand(keys)).unwrap();
        let found = outcome.matches.row(0).iter().find(|m| m.row == 1);
        found.unwrap().score
    };
    // Similarity .5: a + .5 b and b + .5 a, whose angles are 19.1 and 40.9 degrees.
    let degrees = |score: f64| score.acos().to_degrees();
    let (plain, shifted) = (
        degrees(score("alpha = 1")),
        degrees(score("alpha = 1, weight = 'one_plus'")),
    );
    assert!((plain - 21.787).abs() < 1e-2, "{plain}");
    // 1.5 of 2: a + .75 b.
    assert!((shifted - 9.43).abs() < 1e-2, "{shifted}");
    // Beside: the mean of the two cosines.
    let beside = score("alpha = 1, beside = true");
    let mean = (0.5 + plain.to_radians().cos()) / 2.0;
    assert!((beside - mean).abs() < 1e-6, "{beside} {mean}");
}

/// Labelled listings of made-up products, each under two or three titles that words alone do not tell apart.
fn market(folder: &Path, products: usize) -> Listings {
    let mut rng = fastrand::Rng::with_seed(11);
    let kinds = ["sabun mandi", "gula pasir", "kopi bubuk", "teh hijau"];
    let mut text = String::from("posting_id,title,label_group\n");
    let mut id = 0;
    for product in 0..products {
        let kind = kinds[product % 4];
        let code = format!("{}{}", char::from(b'a' + rng.u8(0..26)), 100 + product);
        for _ in 0..rng.usize(1..4) {
            let extra = ["murah", "promo", "asli", "baru", "grosir"][rng.usize(0..5)];
            let grams = 100 * (1 + product % 7);
            text += &format!("p{id},{kind} {extra} {grams} gr {code},g{product}\n");
            id += 1;
        }
    }
    let path = folder.join("market.csv");
    std::fs::write(&path, text).unwrap();
    Listings::read(&path).unwrap()
}

#[test]
fn a_model_of_pairs_is_trained_and_used() {
    use doppel::pairs::BoostOptions;
    use doppel::recipe::{PairOptions, PairRule, train_pairs};
    let folder = tempfile::tempdir().unwrap();
    let listings = market(folder.path(), 60);
    let text = "name = 'x'\nfusion = 'a < .8'\n[spaces.a]\ntfidf = {}";
    let mut recipe = Recipe::parse(text, Path::new("")).unwrap();
    let boost = BoostOptions {
        trees: 20,
        ..BoostOptions::default()
    };
    let options = PairOptions {
        folds: 3,
        twin: true,
        calibrated: true,
        boost,
    };
    let device = doppel::device::open("cpu").unwrap();
    let trained = {
        let job = Job::new(&listings, &recipe, Arc::clone(&device));
        train_pairs(&job, &options, &Quiet).unwrap()
    };
    let mean =
        |of: &dyn Fn(&recipe::PairFold) -> f64| trained.folds.iter().map(of).sum::<f64>() / 3.0;
    let (before, after) = (mean(&|f| f.before), mean(&|f| f.f1));
    assert!(after > before + 0.2 && after > 0.9, "{before} {after}");
    let (all, same) = trained.pairs;
    assert!(same > 20 && all > 2 * same, "{all} {same}");

    let file = folder.path().join("pairs.json");
    trained.model.write(&file).unwrap();
    let rule = PairRule {
        file: file.clone(),
        above: None,
        calibrated: true,
    };
    recipe.after.pair_model = Some(rule);
    let run = |recipe: &Recipe| {
        let job = Job::new(&listings, recipe, Arc::clone(&device));
        recipe::run(&job, &Quiet)
    };
    let outcome = run(&recipe).unwrap();
    assert_eq!(outcome.sources, ["a", "pairs"]);
    let answers = outcome.matches.answers();
    let f1 = doppel::evaluate::evaluate(&listings.labels(), &answers)
        .unwrap()
        .f1;
    assert!(f1 > 0.95, "{f1}");
    let both =
        |(i, a): (usize, &Vec<u32>)| a.iter().all(|&j| answers[j as usize].contains(&(i as u32)));
    assert!(answers.iter().enumerate().all(both));
    // Groups of what the model found.
    recipe.after.groups = Some(doppel::groups::Grouping::ATTACH);
    assert_eq!(run(&recipe).unwrap().sources, ["a", "pairs", "group"]);
    // A recipe of another space gives other features.
    recipe.spaces[0].name = "b".into();
    let error = run(&recipe).err().unwrap().to_string();
    assert!(
        error.contains("expects the feature \"a similarity\" where the recipe gives"),
        "{error}"
    );
    let job = Job::new(&listings, &recipe, Arc::clone(&device));
    assert!(
        train_pairs(
            &job,
            &PairOptions {
                folds: 2,
                ..options
            },
            &Quiet
        )
        .is_err()
    );
}
