//! Lists of words that say nothing of the product.

/// Words by which sellers praise an offer, in Indonesian and English, in the order of the alphabet.
#[rustfmt::skip]
pub const PROMO: &[&str] = &[
    "asli", "awet", "bagus", "banyak", "baru", "bayar", "bekas", "beli", "berkualitas", "best", "bestseller",
    "bisa", "bonus", "buruan", "cashback", "cepat", "cod", "cuci", "delivery", "discount", "disc", "disini",
    "diskon", "ecer", "eceran", "exclusive", "free", "garansi", "gratis", "grosir", "gudang", "harga", "hemat",
    "hot", "import", "impor", "instan", "jual", "kami", "keren", "kilat", "kirim", "kualitas", "langsung",
    "laris", "lokal", "murah", "murahan", "murmer", "new", "obral", "ongkir", "ori", "original", "paling",
    "pengiriman", "pesan", "premium", "price", "produk", "promo", "promosi", "quality", "ready", "readystock",
    "real", "reseller", "resmi", "sale", "sampai", "siap", "spesial", "special", "stok", "stock", "supplier",
    "super", "termurah", "terbaik", "terbaru", "terlaris", "terlengkap", "tersedia", "toko", "trusted",
    "untuk", "viral", "wholesale",
];
