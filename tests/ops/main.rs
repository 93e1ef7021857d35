//! Tests of the subject: ops.
mod beyond;
mod evaluate;
mod matching;
mod recipes;
mod refine;
mod synth;
mod topk_combined;
mod topk_dense;
mod topk_hamming;
mod topk_sparse;
mod tune;
mod tune_recipe;
