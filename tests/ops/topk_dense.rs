//! ops: topk_dense
