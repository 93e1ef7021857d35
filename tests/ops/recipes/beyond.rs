//! Keys beyond the papers: how they read, that they come back, and what is refused.

use std::path::Path;

use doppel::groups::{Agglomerate, Answer, Attach, Cut, Grouping};
use doppel::recipe::{Conflicts, Expansion, Of, Recipe, Step, Weight};
use doppel::refine::Expand;
use doppel::text::clean::{CLEAN_STEPS, CleanStep};

use super::{comes_back, parsed};

/// Reads `lines` behind a name and a rule over the space `a`.
fn with(lines: &str) -> String {
    format!("name = 'x'\nfusion = 'a < .1'\n{lines}\n")
}

#[track_caller]
fn refused(lines: &str, said: &str) {
    match Recipe::parse(&with(lines), Path::new("")) {
        Ok(recipe) => panic!("{lines}: {recipe:?}"),
        Err(error) => assert!(error.to_string().contains(said), "{lines}: {error}"),
    }
}

#[test]
fn titles_are_cleaned_in_the_order_written() {
    let every: Vec<String> = CLEAN_STEPS
        .iter()
        .map(|(name, _)| format!("'{name}'"))
        .collect();
    let every = every.join(", ");
    for of in ["tfidf = {}", "text = 'hf:'"] {
        let recipe = parsed(&with(&format!("[spaces.a]\n{of}\nclean = [{every}]")));
        let steps: Vec<CleanStep> = CLEAN_STEPS.iter().map(|s| s.1).collect();
        assert_eq!(recipe.spaces[0].clean, steps);
        comes_back(&recipe);
    }
    let two = parsed(&with(
        "[spaces.a]\ntfidf = {}\nclean = ['promo', 'lower', 'promo']",
    ));
    use CleanStep::{Lower, Promo};
    assert_eq!(two.spaces[0].clean, [Promo, Lower, Promo]);
    refused(
        "[spaces.a]\ngiven = true\nclean = ['lower']",
        "clean is no key of",
    );
    refused(
        "[spaces.a]\ntfidf = {}\nclean = ['loud']",
        "clean[1] is \"loud\"; give \"lower\" or",
    );
    refused(
        "[spaces.a]\ntfidf = {}\nclean = 'lower'",
        "clean is text in quotes; give a list",
    );
    let many = vec!["'lower'"; 33].join(", ");
    refused(
        &format!("[spaces.a]\ntfidf = {{}}\nclean = [{many}]"),
        "32 are the most",
    );
    let mut recipe = parsed(&with("[spaces.a]\ngiven = true"));
    recipe.spaces[0].clean = vec![Lower];
    let error = recipe.check().unwrap_err().to_string();
    assert!(
        error.contains("space a: it is cleaned, and does not read titles"),
        "{error}"
    );
}

/// The recipe of `keys`, which stand before the spaces.
fn keyed(keys: &str) -> String {
    with(&format!("{keys}\n[spaces.a]\ngiven = true"))
}

#[track_caller]
fn key_refused(keys: &str, said: &str) {
    refused(&format!("{keys}\n[spaces.a]\ngiven = true"), said);
}

#[test]
fn groups_by_all_three_ways() {
    let groups = |keys: &str| {
        let recipe = parsed(&keyed(&format!("groups = {keys}")));
        comes_back(&recipe);
        recipe.after.groups.unwrap()
    };
    let answer = Answer::Group;
    let cut = Cut {
        answer,
        ..Cut::SECOND
    };
    assert_eq!(groups("{ by = 'components' }"), Grouping::Components(cut));
    let second = "{ by = 'components', reciprocal = true, over = 6, weak = 0.1578, betweenness = 0.11767, \
                  answer = 'neighbours' }";
    assert_eq!(groups(second), Grouping::SECOND);
    let other = Cut {
        reciprocal: false,
        over: 3,
        weak: -0.5,
        betweenness: 1.0,
        answer,
    };
    let written =
        "{ by = 'components', reciprocal = false, over = 3, weak = -0.5, betweenness = 1 }";
    assert_eq!(groups(written), Grouping::Components(other));
    assert_eq!(
        groups("{ by = 'agglomerate' }"),
        Grouping::Agglomerate(Agglomerate::default())
    );
    let floors = Agglomerate {
        mean: 0.5,
        floors: vec![(3, 0.5)],
        floor: 0.0,
    };
    let written = "{ by = 'agglomerate', mean = 0.5, floors = [[3, 0.5]], floor = 0 }";
    assert_eq!(groups(written), Grouping::Agglomerate(floors));
    assert_eq!(groups("{ by = 'attach' }"), Grouping::ATTACH);
    let attach = Attach {
        start: 0.25,
        attach: 0.5,
        merge: 0.75,
    };
    let written = "{ by = 'attach', start = 0.25, attach = 0.5, merge = 0.75 }";
    assert_eq!(groups(written), Grouping::Attach(attach));

    key_refused(
        "groups = {}",
        "groups do not say how they are made; give by =",
    );
    key_refused(
        "groups = { by = 'magic' }",
        "groups.by is \"magic\"; give \"components\" or",
    );
    key_refused(
        "groups = { by = 'attach', floor = 1 }",
        "groups.floor is no key of groups by attaching",
    );
    key_refused(
        "groups = { by = 'components', betweenness = 2 }",
        "the betweenness is 2; give a share",
    );
    key_refused(
        "groups = { by = 'agglomerate', mean = 2 }",
        "the share of the mean is 2",
    );
    let falling = "groups = { by = 'agglomerate', floors = [[3, 0.5], [2, 0.4]] }";
    key_refused(
        falling,
        "line 3: groups: the sizes of the floors do not rise",
    );
    key_refused(
        "groups = { by = 'agglomerate', floors = [[3]] }",
        "groups.floors[1] has 1 numbers",
    );
}

#[test]
fn conflicts_after_the_rule_and_before_blending() {
    let recipe = parsed(&keyed("conflicts = ['units']"));
    assert_eq!(recipe.after.conflicts, Conflicts { units: true });
    comes_back(&recipe);
    assert!(parsed(&keyed("conflicts = []")).after.is_empty());
    key_refused(
        "conflicts = ['brands']",
        "conflicts[1] is \"brands\"; give \"units\"",
    );
    let blend = "[spaces.a]\ngiven = true\nrefine = [{ blend = { distance = 0.4, conflicts = ['units'] } }]";
    let recipe = parsed(&with(blend));
    comes_back(&recipe);
    let Step::Blend { conflicts, .. } = recipe.spaces[0].refine[0] else {
        panic!("{recipe:?}");
    };
    assert!(conflicts.units && recipe.after.is_empty());
}

#[test]
fn chisel_takes_sizes_and_shares() {
    let recipe = parsed(&keyed("chisel = [[2, 0.5], [3, 0.25]]"));
    assert_eq!(recipe.after.chisel, [(2, 0.5), (3, 0.25)]);
    comes_back(&recipe);
    for (shares, said) in [
        ("[[2, 1.5]]", "line 3: the share of size 2 is 1.5"),
        ("[[3, 0.1], [2, 0.1]]", "do not rise from 1"),
        ("[[0, 0.1]]", "do not rise from 1"),
        ("[[51, 0.1]]", "a size of chisel is 51"),
        ("[[2, 0.6], [3, 0.6]]", "together"),
        ("[2, 0.6]", "chisel[1] is a whole number; give a list"),
    ] {
        key_refused(&format!("chisel = {shares}"), said);
    }
}

#[test]
fn expansion_beside_the_row_and_by_one_plus() {
    let step = |keys: &str| {
        let recipe = parsed(&with(&format!(
            "[spaces.a]\ngiven = true\nrefine = [{{ expand = {keys} }}]"
        )));
        comes_back(&recipe);
        recipe.spaces[0].refine[0]
    };
    let expand = Expand { k: 2, alpha: 0.5 };
    assert_eq!(step("{ k = 2, alpha = 0.5 }"), Step::Expand(expand));
    let plain = "{ k = 2, alpha = 0.5, weight = 'similarity', beside = false }";
    assert_eq!(step(plain), Step::Expand(expand));
    let by = |weight, beside| {
        Step::ExpandBy(Expansion {
            expand,
            weight,
            beside,
        })
    };
    assert_eq!(
        step("{ k = 2, alpha = 0.5, beside = true }"),
        by(Weight::Similarity, true)
    );
    assert_eq!(
        step("{ k = 2, alpha = 0.5, weight = 'one_plus' }"),
        by(Weight::OnePlus, false)
    );
    let refine = |keys: &str| format!("[spaces.a]\ngiven = true\nrefine = [{{ expand = {keys} }}]");
    refused(
        &refine("{ k = 2, alpha = 1, weight = 'two' }"),
        "weight is \"two\"; give \"similarity\" or",
    );
    refused(&refine("{ k = 0, alpha = 1, beside = true }"), "k is 0");
}

#[test]
fn ranked_spaces_rank_another() {
    let recipe = parsed(&with("[spaces.a]\nranked = 'b'\n[spaces.b]\ngiven = true"));
    assert_eq!(recipe.spaces[1].of, Of::Ranked(0));
    comes_back(&recipe);
    refused(
        "[spaces.a]\nranked = 'c'\n[spaces.b]\ngiven = true",
        "there is no space \"c\"",
    );
    refused("[spaces.a]\nranked = 'a'", "spaces.a rests on itself");
    let twice = "[spaces.a]\nranked = 'b'\n[spaces.b]\nranked = 'c'\n[spaces.c]\ngiven = true";
    refused(twice, "it ranks b, which is ranked itself");
    let part = "[spaces.a]\nconcat = { b = 1 }\n[spaces.b]\nranked = 'c'\n[spaces.c]\ngiven = true";
    refused(part, "its part b is ranked, and has no rows");
    let refined = "[spaces.a]\nranked = 'c'\nrefine = [{ expand = { k = 2, alpha = 1 } }]\n[spaces.c]\ngiven = true";
    refused(refined, "a ranked space has no rows to refine");
}

#[test]
fn a_pair_model_is_a_file_and_a_probability() {
    let recipe = parsed(&keyed(
        "pair_model = { file = 'p.json', above = 0.5, calibrated = true }",
    ));
    comes_back(&recipe);
    let rule = recipe.after.pair_model.unwrap();
    assert_eq!((rule.above, rule.calibrated), (Some(0.5), true));
    let folder = Path::new("/models");
    let recipe = Recipe::parse(&keyed("pair_model = { file = 'p.json' }"), folder).unwrap();
    let rule = recipe.after.pair_model.unwrap();
    assert_eq!(rule.file, Path::new("/models/p.json"));
    assert_eq!((rule.above, rule.calibrated), (None, false));
    key_refused(
        "pair_model = {}",
        "line 3: pair_model has no file; give file =",
    );
    key_refused("pair_model = { file = '' }", "pair_model.file is empty");
    key_refused(
        "pair_model = { file = 'p', above = 2 }",
        "line 3: a pair matches above 2",
    );
    key_refused(
        "pair_model = 'p'",
        "pair_model is text in quotes; give a table",
    );
}
