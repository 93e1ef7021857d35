//! ops: topk_hamming
