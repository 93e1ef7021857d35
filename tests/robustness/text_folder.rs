//! Folders of text encoders: as they are published they open, and whatever is wrong with one is one clear
//! line.

mod config;
mod fuzz;

use std::path::Path;

use doppel::error::Kind;
use doppel::limits::MAX_CONFIG_BYTES;
use doppel::nn::text::{TextFamily, TextFolder, TextPool};
use tempfile::TempDir;

const CONFIG: &str = r#"{"model_type": "bert", "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 40, "vocab_size": 90,
    "max_position_embeddings": 64, "torch_dtype": "float32"}"#;
const ROBERTA: &str = r#"{"model_type": "roberta", "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 40, "vocab_size": 90, "type_vocab_size": 1,
    "max_position_embeddings": 514, "pad_token_id": 1, "layer_norm_eps": 1e-05}"#;
const MODULES: &str = r#"[
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]"#;
const POOLING: &str = r#"{"word_embedding_dimension": 24, "pooling_mode_cls_token": false,
    "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": false,
    "pooling_mode_mean_sqrt_len_tokens": false}"#;

/// A folder with a config.json.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap()).with("config.json", CONFIG)
    }

    /// The same of a model of sentence-transformers.
    fn sentence() -> Self {
        let folder = Folder::new().with("modules.json", MODULES);
        folder.with("1_Pooling/config.json", POOLING)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    fn without(self, name: &str) -> Self {
        std::fs::remove_file(self.path().join(name)).unwrap();
        self
    }

    #[track_caller]
    fn opened(&self) -> TextFolder {
        TextFolder::open(self.path()).unwrap_or_else(|e| panic!("{e}"))
    }

    /// That opening is one clear line that names the file and has these words; its kind.
    #[track_caller]
    fn says(&self, file: &str, words: &str) -> Kind {
        let error = TextFolder::open(self.path()).expect_err(words);
        clear(&error);
        let line = error.to_string();
        assert!(line.contains(file), "{file:?} is not in: {line}");
        assert!(line.contains(words), "{words:?} is not in: {line}");
        error.kind()
    }
}

/// That an error is one line of bearable length and says how to mend it.
#[track_caller]
fn clear(error: &doppel::Error) {
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.len() < 700, "{line}");
    assert!(error.mending().is_some(), "{line}");
    assert!(error.kind() != Kind::Internal, "{line}");
}

#[test]
fn a_plain_folder_is_pooled_by_the_mean() {
    let folder = Folder::new();
    let found = folder.opened();
    assert_eq!(found.path, folder.path());
    assert_eq!(found.config.family, TextFamily::Bert);
    assert_eq!((found.pool, found.max_tokens), (TextPool::Mean, 64));
    assert!(!found.lowercase && found.refused.is_none());
    let found = folder.with("config.json", ROBERTA).opened();
    assert_eq!(found.max_tokens, 512);
}

#[test]
fn modules_lead_to_the_transformer_and_the_pooling() {
    // A folder that is named and absent does no harm where nothing is read from it.
    let folder = Folder::sentence();
    assert!(!folder.path().join("2_Normalize").exists());
    assert_eq!(folder.opened().pool, TextPool::Mean);

    // Older ones have the transformer in a folder of its own, newer ones other names of classes.
    let old = r#"[{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"path": "./7_Pool", "type":
         "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
        {"path": "", "type": "sentence_transformers.base.modules.normalize.Normalize"},
        {"path": "3_Dropout", "type": "sentence_transformers.models.Dropout"}]"#;
    let folder = Folder(tempfile::tempdir().unwrap())
        .with("modules.json", old)
        .with("0_Transformer/config.json", ROBERTA)
        .with(
            "0_Transformer/sentence_roberta_config.json",
            r#"{"max_seq_length": 75, "do_lower_case": true}"#,
        )
        .with("sentence_bert_config.json", r#"{"max_seq_length": 3}"#)
        .with("7_Pool/config.json", r#"{"pooling_mode": "cls"}"#);
    let found = folder.opened();
    assert_eq!(found.path, folder.path().join("0_Transformer"));
    assert_eq!((found.pool, found.max_tokens), (TextPool::Cls, 75));
    assert!(found.lowercase);
    folder
        .without("7_Pool/config.json")
        .says("7_Pool", "is missing, and modules.json names");
}

#[test]
fn modules_that_are_not_run_are_named() {
    for (list, words) in [
        ("{}", "is not a list of modules"),
        ("[]", "lists no Transformer module"),
        ("[3]", "module 0 has no type"),
        (
            r#"[{"type": "sentence_transformers.models.CLIPModel"}]"#,
            "CLIPModel",
        ),
        (
            r#"[{"type": "sentence_transformers.models.WordEmbeddings"}]"#,
            "WordEmbeddings",
        ),
        (
            r#"[{"type": "custom_st.Transformer"}]"#,
            "module 0, \"custom_st.Transformer\"",
        ),
        (
            r#"[T, {"type": "sentence_transformers.models.CNN"}, P]"#,
            "module 1, \"sentence",
        ),
        (
            r#"[T, {"type": "sentence_transformers.models.LSTM"}, P]"#,
            "LSTM",
        ),
        ("[T, T, P]", "module 1"),
        ("[P, T]", "module 0"),
        ("[T]", "lists no Pooling module; say which"),
        (
            r#"[{"path": "../x", "type": "sentence_transformers.models.Transformer"}]"#,
            "\"../x\", outside",
        ),
        (
            r#"[{"path": "/etc", "type": "sentence_transformers.models.Transformer"}]"#,
            "outside",
        ),
        (
            r#"[{"path": 3, "type": "sentence_transformers.models.Transformer"}]"#,
            "is at 3",
        ),
        ("[T, P", "is not JSON"),
    ] {
        let list = list
            .replace('T', "\u{1}")
            .replace("\u{1}ransformer", "Transformer")
            .replace("LS\u{1}M", "LSTM")
            .replace(
                '\u{1}',
                r#"{"path": "", "type": "sentence_transformers.models.Transformer"}"#,
            );
        let pooling = r#", {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}"#;
        let list = list
            .replace(", P", pooling)
            .replace("[P,", &format!("[{},", &pooling[2..]));
        Folder::sentence()
            .with("modules.json", &list)
            .says("modules.json", words);
    }
    let many = vec![r#"{"type": "sentence_transformers.models.Transformer"}"#; 65].join(",");
    let folder = Folder::sentence().with("modules.json", format!("[{many}]"));
    assert_eq!(folder.says("modules.json", "lists 65 modules"), Kind::Limit);
}

/// What stands behind the pooling is recorded, for those who ask for the vectors before it.
#[test]
fn a_module_behind_the_pooling_is_recorded() {
    for (module, class) in [
        ("2_Dense", "Dense"),
        ("2_LayerNorm", "LayerNorm"),
        ("2_X", "Xyz"),
    ] {
        let more = format!(
            r#", {{"path": "{module}", "type": "sentence_transformers.models.{class}"}},
               {{"path": "3", "type": "sentence_transformers.models.Other"}}]"#
        );
        let end = MODULES.rfind(']').unwrap();
        let list = format!("{}{more}", &MODULES[..end]);
        let found = Folder::sentence().with("modules.json", list).opened();
        let line = found.refused.unwrap();
        assert!(
            line.contains("modules.json: module 3") && line.contains(class),
            "{line}"
        );
    }
}

#[test]
fn pooling_is_read_in_both_spellings() {
    let of = |text: &str| Folder::sentence().with("1_Pooling/config.json", text);
    for (text, pool) in [
        ("{}", TextPool::Mean),
        (
            r#"{"embedding_dimension": 24, "pooling_mode": "mean"}"#,
            TextPool::Mean,
        ),
        (
            r#"{"embedding_dimension": 24, "pooling_mode": ["cls"]}"#,
            TextPool::Cls,
        ),
        (
            r#"{"pooling_mode_cls_token": true, "include_prompt": false}"#,
            TextPool::Cls,
        ),
        (
            r#"{"pooling_mode": "cls", "pooling_mode_mean_tokens": true}"#,
            TextPool::Cls,
        ),
        (r#"{"pooling_mode_mean_tokens": false}"#, TextPool::Mean),
    ] {
        assert_eq!(of(text).opened().pool, pool, "{text}");
    }
    for (text, words) in [
        (r#"{"pooling_mode": "max"}"#, "pools by \"max\""),
        (r#"{"pooling_mode": "lasttoken"}"#, "pools by \"lasttoken\""),
        (
            r#"{"pooling_mode": ["cls", "mean"]}"#,
            "pools by \"cls and mean\"",
        ),
        (r#"{"pooling_mode": []}"#, "pools by \"\""),
        (r#"{"pooling_mode": 3}"#, "pools by \"3\""),
        (r#"{"pooling_mode": null}"#, "pools by \"null\""),
        (r#"{"pooling_mode_max_tokens": true}"#, "\"max\""),
        (
            r#"{"pooling_mode_weightedmean_tokens": true}"#,
            "\"weightedmean\"",
        ),
        (
            r#"{"pooling_mode_mean_sqrt_len_tokens": true}"#,
            "\"mean_sqrt_len_tokens\"",
        ),
        (
            r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}"#,
            "\"cls and mean\"",
        ),
        (
            r#"{"pooling_mode_cls_token": "yes"}"#,
            "pooling_mode_cls_token is \"yes\"",
        ),
        (
            r#"{"word_embedding_dimension": 768}"#,
            "is 768, but the encoder's is 24",
        ),
        (
            r#"{"embedding_dimension": "24"}"#,
            "embedding_dimension is \"24\"",
        ),
        (r#"{"include_prompt": 1}"#, "include_prompt is 1"),
        ("[]", "holds [], not an object"),
    ] {
        let folder = of(text);
        folder.says("1_Pooling", words);
        // Who says how to pool does not need the file.
        let found = TextFolder::open_with(folder.path(), Some(TextPool::Cls)).unwrap();
        assert_eq!(found.pool, TextPool::Cls);
    }
    let folder = Folder::new().with("1_Pooling/config.json", r#"{"pooling_mode": "cls"}"#);
    assert_eq!(
        folder.opened().pool,
        TextPool::Cls,
        "also without modules.json"
    );
}

#[test]
fn a_title_has_the_tokens_that_sentence_transformers_gives_it() {
    for (sentence, tokenizer, bert, roberta) in [
        (None, None, 64, 512),
        (Some("{}"), None, 64, 512),
        (
            Some(r#"{"max_seq_length": null}"#),
            Some(r#"{"model_max_length": 32}"#),
            32,
            32,
        ),
        (
            Some(r#"{"max_seq_length": 20}"#),
            Some(r#"{"model_max_length": 32}"#),
            20,
            20,
        ),
        (Some(r#"{"max_seq_length": 514}"#), None, 64, 512),
        (None, Some(r#"{"model_max_length": 512}"#), 64, 512),
        (None, Some(r#"{"max_len": 48}"#), 48, 48),
        (None, Some(r#"{"model_max_length": null}"#), 64, 512),
        (
            None,
            Some(r#"{"model_max_length": 1000000000000000019884624838656}"#),
            64,
            512,
        ),
        (None, Some(r#"{"model_max_length": 1e30}"#), 64, 512),
    ] {
        for (config, tokens) in [(CONFIG, bert), (ROBERTA, roberta)] {
            let mut folder = Folder::new().with("config.json", config);
            for (name, text) in [
                ("sentence_bert_config.json", sentence),
                ("tokenizer_config.json", tokenizer),
            ] {
                if let Some(text) = text {
                    folder = folder.with(name, text);
                }
            }
            assert_eq!(
                folder.opened().max_tokens,
                tokens,
                "{sentence:?} {tokenizer:?}"
            );
        }
    }
    for (file, text, words) in [
        (
            "sentence_bert_config.json",
            r#"{"max_seq_length": 0}"#,
            "max_seq_length is 0",
        ),
        (
            "sentence_bert_config.json",
            r#"{"max_seq_length": -3}"#,
            "is -3",
        ),
        (
            "sentence_bert_config.json",
            r#"{"max_seq_length": 12.5}"#,
            "is 12.5",
        ),
        (
            "sentence_bert_config.json",
            r#"{"max_seq_length": "128"}"#,
            "is \"128\"",
        ),
        (
            "sentence_bert_config.json",
            r#"{"do_lower_case": "no"}"#,
            "do_lower_case is \"no\"",
        ),
        (
            "sentence_bert_config.json",
            r#"{"transformer_task": "text-generation"}"#,
            "transformer_task \"text-generation\"",
        ),
        (
            "sentence_bert_config.json",
            r#"{"config_args": {"num_hidden_layers": 1}}"#,
            "config_args {\"num_hidden_layers\":1}",
        ),
        (
            "tokenizer_config.json",
            r#"{"model_max_length": 0}"#,
            "model_max_length is 0",
        ),
        (
            "tokenizer_config.json",
            r#"{"model_max_length": [1]}"#,
            "model_max_length is [1]",
        ),
    ] {
        Folder::new().with(file, text).says(file, words);
    }
    let text = r#"{"config_args": {"trust_remote_code": true}, "tokenizer_args": {},
        "transformer_task": "feature-extraction"}"#;
    Folder::new()
        .with("sentence_bert_config.json", text)
        .opened();
}

#[test]
fn a_prompt_before_every_title_is_refused() {
    let of = |text: &str| Folder::sentence().with("config_sentence_transformers.json", text);
    for text in [
        "{}",
        r#"{"prompts": {"query": "query: "}, "default_prompt_name": null}"#,
        r#"{"prompts": {"document": ""}, "default_prompt_name": "document"}"#,
        r#"{"model_type": "SentenceTransformer", "prompts": {}}"#,
    ] {
        of(text).opened();
    }
    for (text, words) in [
        (
            r#"{"prompts": {"query": "query: "}, "default_prompt_name": "query"}"#,
            "puts the prompt \"query: \" before each title",
        ),
        (
            r#"{"prompts": {}, "default_prompt_name": "query"}"#,
            "prompts have no \"query\"",
        ),
        (r#"{"default_prompt_name": 4}"#, "prompts have no 4"),
        (
            r#"{"model_type": "CrossEncoder"}"#,
            "model_type \"CrossEncoder\"",
        ),
    ] {
        of(text).says("config_sentence_transformers.json", words);
    }
}

/// Each of the files, where it cannot be read or is no JSON text.
#[test]
fn unreadable_files_are_named() {
    let files = [
        "config.json",
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "tokenizer_config.json",
    ];
    let large = vec![b' '; MAX_CONFIG_BYTES as usize + 1];
    let deep = "[".repeat(100_000);
    for file in files {
        for (bytes, words) in [
            (&b""[..], "is not JSON"),
            (b"\xEF\xBB\xBF{}", "byte order mark"),
            (b"{\"a\": \"\xFF\"}", "is not UTF-8"),
            (b"{\"a\": NaN}", "is not JSON"),
            (b"{} {}", "is not JSON"),
            (b"\"text\"", "not "),
            (deep.as_bytes(), "is not JSON"),
            (&large, "has over 1048576 bytes"),
        ] {
            Folder::sentence().with(file, bytes).says(file, words);
        }
        let folder = Folder::sentence();
        let path = folder.path().join(file);
        let _ = std::fs::remove_file(&path);
        std::fs::create_dir(&path).unwrap();
        folder.says(file, "is a folder");
        #[cfg(unix)]
        {
            std::fs::remove_dir(&path).unwrap();
            std::os::unix::fs::symlink(&path, &path).unwrap();
            folder.says(file, "symbolic link");
        }
    }
    let folder = Folder::new().without("config.json");
    folder.says("config.json", "is missing");
    let nowhere = folder.path().join("nowhere");
    let error = TextFolder::open(&nowhere).unwrap_err();
    clear(&error);
    assert!(
        error.to_string().contains("nowhere: is no folder"),
        "{error}"
    );
}
