//! The words of the made-up market: what is sold, by kind, in Indonesian and English.
//!
//! In every table a comma ends an entry and `|` stands between words for the same thing.

mod home;
mod wear;

use crate::listings::synth::draw::Shape;

/// A kind of goods and how its sellers speak.
#[derive(Debug)]
pub(crate) struct Category {
    /// How many products of a hundred or so are of this kind.
    pub(crate) weight: usize,
    /// What is sold.
    pub(crate) nouns: &'static str,
    /// What a product is or is not: the maker's own words.
    pub(crate) traits: &'static str,
    /// What sellers add so that a search finds them.
    pub(crate) keywords: &'static str,
    /// What tells the products of one line apart.
    pub(crate) axes: &'static [Axis],
    /// Of a hundred products, how many have a model code.
    pub(crate) coded: u32,
    /// Of a hundred products, how many have a maker's name.
    pub(crate) branded: u32,
    /// What its pictures show.
    pub(crate) shapes: &'static [Shape],
}

/// What tells the products of one line apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Axis {
    /// The colour.
    Colour,
    /// The taste or the scent.
    Flavour,
    /// A weight.
    Weight,
    /// A volume.
    Volume,
    /// A length in centimetres, or one by another.
    Length,
    /// The size of clothes or shoes.
    Fit,
    /// The number of pieces.
    Pieces,
    /// The maker's code.
    Code,
    /// A word of the maker's own.
    Name,
    /// The telephone that it fits.
    Phone,
}

/// All kinds of goods.
pub(crate) fn categories() -> impl Iterator<Item = &'static Category> + Clone {
    wear::KINDS.iter().chain(home::KINDS)
}

/// The first of them.
pub(crate) fn first() -> &'static Category {
    &wear::KINDS[0]
}

/// Colours, with what pictures show.
pub(crate) const COLOURS: &[(&str, [u8; 3])] = &[
    ("hitam|black", [34, 34, 38]),
    ("putih|white", [226, 227, 230]),
    ("merah|red", [200, 36, 44]),
    ("biru|blue", [44, 84, 180]),
    ("navy|biru dongker", [28, 38, 84]),
    ("hijau|green", [52, 140, 72]),
    ("army|hijau army", [92, 96, 56]),
    ("kuning|yellow", [236, 200, 48]),
    ("pink|merah muda", [240, 150, 180]),
    ("ungu|purple", [124, 68, 160]),
    ("coklat|brown", [124, 80, 48]),
    ("abu|abu abu|grey", [136, 138, 142]),
    ("cream|krem", [236, 222, 190]),
    ("maroon|merah marun", [112, 24, 40]),
    ("tosca|hijau tosca", [64, 180, 168]),
    ("orange|oranye|jingga", [236, 128, 40]),
    ("gold|emas", [204, 164, 72]),
    ("silver|perak", [188, 192, 200]),
    ("salem|salmon", [240, 164, 140]),
    ("mocca|moka", [156, 116, 88]),
    ("lilac|lavender", [192, 170, 220]),
    ("mint", [170, 224, 196]),
];

/// Tastes and scents.
pub(crate) const FLAVOURS: &str = "coklat|chocolate,vanila|vanilla,stroberi|strawberry,melon,jeruk|orange,\
    mangga|mango,original|ori,pedas|spicy,balado,keju|cheese,jagung bakar|roasted corn,rumput laut|seaweed,\
    matcha|green tea,kopi|coffee,madu|honey,lemon,apel|apple,anggur|grape,mawar|rose,melati|jasmine,\
    lavender,susu|milk,pandan,kelapa|coconut,jahe|ginger,pisang|banana,taro,tiramisu,karamel|caramel,\
    blueberry,lychee|leci,mint|peppermint,zaitun|olive,lidah buaya|aloe vera,ayam|chicken,sapi|beef,\
    udang|shrimp,bawang|onion,durian,markisa|passion fruit";

/// Telephones, made up.
pub(crate) const PHONES: &str = "zelo a5,zelo a7,zelo a9,zelo f11,zelo reno 3,miro note 7,miro note 8,\
    miro note 9,miro 5a,miro 9c,vanto y12,vanto y17,vanto y91,vanto v15,vanto s1,ponix 6,ponix 7,ponix 7 plus,\
    ponix x,ponix xr,ponix 11,ponix 11 pro,galio j2,galio j5,galio j7,galio a10,galio a20s,galio a50,galio m20,\
    reva c2,reva 5i,reva c11,novia 3i,novia 5t,asteno max,asteno max pro,inova hot 9,inova smart 4";

/// Sizes of clothes and shoes.
pub(crate) const FITS: &str = "s,m,l,xl,xxl,3xl,all size|allsize,jumbo|big size,36,37,38,39,40,41,42,43,27,28,29,30,\
    31,32,0 3 bulan|0-3m,6 12 bulan|6-12m,1 2 tahun|1-2y,3 4 tahun,5 6 tahun";

/// What sellers of anything put before, behind and between.
pub(crate) const PROMO: &str = "promo,diskon|discount|disc,murah|termurah,ready stock|ready stok|ready,\
    gratis ongkir|free ongkir,original|ori|100% original,best seller|bestseller|terlaris,cod|bisa cod|bayar di tempat,\
    new|baru|terbaru,grosir|wholesale,import|impor,premium,kualitas terbaik|best quality,sale|flash sale,\
    limited edition,free gift|gratis hadiah,bpom,halal,garansi|bergaransi|garansi resmi,asli,special promo|spesial,\
    hot item,cuci gudang,viral|hits|kekinian,lucu|cute,terbaik,real pict|realpict,harga grosir,bisa satuan|ecer,\
    beli 2 gratis 1|buy 2 get 1,paling murah,restock,trend|trendy,bagus|keren,high quality,made in korea|korea,\
    fast respon,jakarta|jkt,bandung,surabaya,buruan order,turun harga,dijamin ori,no repack,exp lama|exp 2023,\
    recommended|rekomended,awet,anti gagal,bonus bubble wrap|free bubble wrap,harga pabrik,stok terbatas|limited stock";

/// Short forms that sellers use.
pub(crate) const SHORT: &[(&str, &str)] = &[
    ("dan", "&"),
    ("untuk", "utk"),
    ("dengan", "dgn"),
    ("warna", "wrn"),
    ("wanita", "wnt"),
    ("anak", "ank"),
    ("panjang", "pjg"),
    ("pendek", "pdk"),
    ("celana", "cln"),
    ("lengan", "lgn"),
    ("tangan", "tgn"),
    ("original", "ori"),
    ("minuman", "mnm"),
    ("kosmetik", "kosmtk"),
    ("perempuan", "prmpn"),
    ("besar", "bsr"),
    ("kecil", "kcl"),
    ("bayi", "baby"),
    ("premium", "prem"),
    ("murah", "mrh"),
    ("import", "imp"),
    ("garansi", "grnsi"),
    ("gratis", "free"),
    ("handphone", "hp"),
];

/// The entries of a table.
pub(crate) fn entries(table: &'static str) -> Vec<&'static str> {
    table.split(',').map(str::trim).collect()
}

/// The words for the same thing that an entry lists.
pub(crate) fn forms(entry: &'static str) -> Vec<&'static str> {
    entry.split('|').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_can_stand_in_a_title() {
        let mut words = std::collections::HashSet::new();
        let tables = categories().flat_map(|c| [c.nouns, c.traits, c.keywords]);
        for table in tables.chain([FLAVOURS, PHONES, FITS, PROMO]) {
            let entries = entries(table);
            assert!(entries.len() >= 8, "{table}");
            for entry in entries {
                for form in forms(entry) {
                    assert!(!form.is_empty() && form.trim() == form, "{table}");
                    assert!(form.is_ascii() && !form.contains(['\n', '"', '\\']));
                    words.extend(form.split(' '));
                }
            }
        }
        assert!(words.len() > 900, "{} words", words.len());
    }
}
