//! Folders and options that are refused: one line, and nothing is written.

use serde_json::json;

use super::{copy, embed, golden, json_of, write_titles};
use crate::embed::weights;
use crate::tools::{Bench, Value};

/// Changes a JSON file of the folder `w`.
fn change(bench: &Bench, file: &str, edit: impl FnOnce(&mut Value)) {
    let path = bench.path("w").join(file);
    let mut value = json_of(&path);
    edit(&mut value);
    std::fs::write(path, value.to_string()).unwrap();
}

/// Sets a field of the config.
fn set(key: &'static str, value: Value) -> impl FnOnce(&Bench) {
    move |bench| change(bench, "config.json", |config| config[key] = value)
}

#[test]
fn wrong_folders_are_one_line_and_nothing_is_written() {
    type Damage = Box<dyn FnOnce(&Bench)>;
    fn gone(file: &'static str) -> Damage {
        Box::new(move |bench| std::fs::remove_file(bench.path("w").join(file)).unwrap())
    }
    fn text(file: &'static str, text: &'static str) -> Damage {
        Box::new(move |bench| std::fs::write(bench.path("w").join(file), text).unwrap())
    }
    let without_unknown: Damage = Box::new(|bench| {
        change(bench, "tokenizer.json", |t| {
            t["model"]["vocab"].as_object_mut().unwrap().remove("[UNK]");
            t["added_tokens"]
                .as_array_mut()
                .unwrap()
                .retain(|a| a["content"] != "[UNK]");
        });
    });
    // The ids are compared before any weight is looked at: there is none.
    let beyond: Damage = Box::new(|bench| {
        set("vocab_size", json!(7))(bench);
        std::fs::remove_file(bench.path("w/model.safetensors")).unwrap();
    });
    let another: Damage = Box::new(|bench| {
        let other = golden("distil").join("model.safetensors");
        std::fs::copy(other, bench.path("w/model.safetensors")).unwrap();
    });
    let bare: Damage = Box::new(|bench| {
        for file in ["tokenizer.json", "vocab.txt"] {
            std::fs::remove_file(bench.path("w").join(file)).unwrap();
        }
    });
    let config = |key, value| -> Damage { Box::new(set(key, value)) };
    let cases: [(Damage, &[&str]); 17] = [
        (gone("config.json"), &["config.json"]),
        (gone("model.safetensors"), &["model.safetensors"]),
        (bare, &["tokenizer.json"]),
        (text("config.json", "{"), &["config.json", "JSON"]),
        (
            text("tokenizer.json", "{\"model\": 1}"),
            &["tokenizer.json"],
        ),
        (
            text("model.safetensors", "no tensors"),
            &["model.safetensors"],
        ),
        (
            text("sentence_bert_config.json", "[1"),
            &["sentence_bert_config.json"],
        ),
        (text("1_Pooling/config.json", "]"), &["1_Pooling"]),
        (beyond, &["ids", "vocab_size", "7"]),
        (without_unknown, &["[UNK]"]),
        (another, &["model.safetensors"]),
        (
            config("num_attention_heads", json!(5)),
            &["32", "5", "heads"],
        ),
        (config("hidden_size", json!(1u64 << 40)), &["hidden_size"]),
        (
            config("num_hidden_layers", json!(1_000_000)),
            &["num_hidden_layers"],
        ),
        (config("vocab_size", json!(-1)), &["vocab_size"]),
        (config("num_hidden_layers", json!(3)), &["layer.2"]),
        (config("model_type", json!("gpt2")), &["gpt2", "bert"]),
    ];
    for (at, (damage, words)) in cases.into_iter().enumerate() {
        let bench = Bench::new();
        copy(&bench, "bert", "w");
        write_titles(&bench, "l.csv", ["phone case"]);
        damage(&bench);
        let before = bench.names();
        println!("case {at}: {words:?}");
        embed(&bench, "w", "", "x.npy").fails_with(words);
        bench
            .engine("match l.csv --encoder hf: --weights w --out m.csv --pairs p.csv")
            .fails_with(words);
        assert_eq!(bench.names(), before, "{words:?}");
    }
}

#[test]
fn wrong_options_are_one_line_and_nothing_is_written() {
    let bench = Bench::new();
    copy(&bench, "bert", "w");
    write_titles(&bench, "l.csv", ["phone case"]);
    bench.write("i.csv", "posting_id,image\na,a.jpg\n");
    bench.write("photos/a.jpg", "");
    let before = bench.names();
    let resnet = format!("--encoder timm:resnet18 --weights {}", weights());
    let embed = "embed l.csv --out x.npy";
    let matching = "match l.csv --out m.csv";
    let cases: Vec<(String, &[&str])> = vec![
        (
            format!("{embed} --encoder hf:"),
            &[
                "--weights DIR",
                "hf download sentence-transformers/all-MiniLM-L6-v2 --local-dir weights/",
            ],
        ),
        (
            format!("{embed} --encoder hf:google-bert/bert-base-uncased"),
            &[
                "hf download google-bert/bert-base-uncased --local-dir",
                "config.json",
                "tokenizer.json",
            ],
        ),
        (
            format!("{embed} --encoder hf: --weights gone"),
            &["gone", "No such file", "config.json"],
        ),
        (
            format!("{embed} --encoder hf: --weights w/model.safetensors"),
            &["model.safetensors", "is not a folder"],
        ),
        (
            format!("{embed} --encoder hf: --weights photos"),
            &["photos/config.json"],
        ),
        (
            "embed i.csv --out x.npy --encoder hf: --weights w".into(),
            &["i.csv", "no column title"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --max-tokens 0"),
            &["--max-tokens 0", "64"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --max-tokens 65"),
            &["--max-tokens 65", "64"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --max-tokens 1"),
            &["special", "1"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --size 64"),
            &["--size", "images"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --crop squash"),
            &["--crop", "images"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --activation mish"),
            &["--activation", "images"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --no-exif"),
            &["--no-exif", "images"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --batch 2"),
            &["--batch", "images"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --pool gem"),
            &["--pool gem", "images"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --pool cls --pool mean"),
            &["--pool cls and --pool mean"],
        ),
        (
            format!("{embed} --encoder hf: --weights w --weights w"),
            &["--weights", "2"],
        ),
        (
            format!("{embed} --images photos {resnet} --max-tokens 9"),
            &["--max-tokens", "titles"],
        ),
        (
            format!("{embed} --images photos {resnet} --decode-escapes"),
            &["--decode-escapes", "titles"],
        ),
        (
            format!("{embed} --images photos {resnet} --pool mean"),
            &["--pool mean", "titles"],
        ),
        (
            format!("{matching} --encoder hf: --weights w --encoder hf:b --weights w"),
            &["hf:", "twice"],
        ),
        (
            format!("{matching} --images photos {resnet} {resnet}"),
            &["timm:", "twice"],
        ),
        (
            format!("{matching} --images photos {resnet} --encoder hf:"),
            &["hf download"],
        ),
        (
            format!("{matching} {resnet} --encoder hf: --weights w"),
            &["--images DIR"],
        ),
        (
            format!("{matching} --encoder hf: --weights w --out gone/m.csv"),
            &["--out"],
        ),
    ];
    for (line, words) in cases {
        let ran = bench.engine(&line);
        if line.matches("--out").count() == 2 {
            ran.ends(2);
        } else {
            ran.fails_with(words);
        }
        assert_eq!(bench.names(), before, "{line}");
    }
    bench
        .engine("match l.csv --encoder hf: --weights w --out gone/m.csv")
        .fails_with(&["gone/m.csv"]);
    embed_into_devices(&bench);
    assert_eq!(bench.names(), before);
}

/// Places where rows cannot stand.
fn embed_into_devices(bench: &Bench) {
    for (out, words) in [
        ("gone/x.npy", ["gone/x.npy", "No such file"]),
        ("photos", ["photos", "is a folder"]),
        ("l.csv", ["l.csv", "twice"]),
        ("/dev/null", ["/dev/null", "regular"]),
    ] {
        embed(bench, "w", "", out).fails_with(&words);
    }
}
