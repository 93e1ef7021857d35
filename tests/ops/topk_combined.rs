//! ops: topk_combined
