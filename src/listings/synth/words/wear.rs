//! What is worn or put on.

use super::{Axis::*, Category};
use crate::listings::synth::draw::Shape::*;

pub(super) const KINDS: &[Category] = &[
    Category {
        weight: 13,
        nouns: "lipstik|lipstick,lip cream|lipcream,bedak padat|compact powder,bedak tabur|loose powder,\
            maskara|mascara,eyeliner|pensil mata,eyeshadow|perona mata,foundation|alas bedak,cushion|bb cushion,\
            pensil alis|eyebrow pencil,perona pipi|blush on,lip tint|liptint,lip balm|pelembab bibir,\
            concealer,highlighter,bulu mata palsu|fake eyelashes,kuas makeup|brush makeup|make up brush,\
            kutek|nail polish,setting spray,primer",
        traits: "matte,glossy,tahan lama|long lasting,waterproof|anti air,natural,velvet,shimmer,ultra,hydrating,\
            glow,intense,soft,cair|liquid,24 jam|24h,ringan|light,spf 30,full coverage,nude,two way cake,refill,\
            mini,slim,volume,curling,transferproof",
        keywords: "makeup|make up,kosmetik|cosmetics,kecantikan|beauty,wajah|face,bibir|lips,mata|eyes,alis,cantik,\
            rias,wanita|women,remaja,pemula,wisuda,pesta,glowing,aman,ringan,dandan",
        axes: &[Colour, Name, Name, Code],
        coded: 25,
        branded: 92,
        shapes: &[Stick, Compact, Tube, Box],
    },
    Category {
        weight: 14,
        nouns: "serum|serum wajah|face serum,toner|toner wajah,pelembab|moisturizer|krim pelembab,sabun muka|facial wash|facial foam,\
            masker wajah|face mask|sheet mask,krim malam|night cream,krim siang|day cream,sunscreen|tabir surya|sunblock,\
            scrub wajah|face scrub,micellar water|pembersih wajah,essence,ampoule,eye cream|krim mata,peeling gel,\
            clay mask|masker lumpur,acne gel|obat jerawat,body lotion|handbody|hand body,lulur|body scrub,\
            sabun batang|bar soap,minyak zaitun|olive oil",
        traits: "whitening|pencerah,brightening|mencerahkan,acne|jerawat,anti aging|penuaan,vitamin c,niacinamide,\
            tea tree,kolagen|collagen,hyaluronic,retinol,snail|siput,rice|beras,charcoal|arang,gold 24k,moist,pore,\
            soothing,glowing,sensitive|kulit sensitif,oil control,spf 50,pa+++,herbal,organik|organic,alami|natural,\
            deep clean,calming",
        keywords: "skincare|perawatan wajah,kulit|skin,flek hitam|dark spot,kusam,komedo,bruntusan,bekas jerawat,wajah,\
            korea|korean,pria wanita,aman bumil,dokter,paket|set,cream,pemutih,glow,sehat,berminyak,kering",
        axes: &[Volume, Weight, Name, Flavour, Volume],
        coded: 10,
        branded: 92,
        shapes: &[Bottle, Jar, Tube, Pump, Sachet],
    },
    Category {
        weight: 6,
        nouns: "sampo|shampoo|shampo,kondisioner|conditioner,minyak rambut|hair oil,vitamin rambut|hair vitamin,\
            cat rambut|hair color|semir rambut,masker rambut|hair mask,pomade,parfum|perfume|minyak wangi,\
            deodoran|deodorant,sabun mandi|body wash,pasta gigi|odol|toothpaste,sikat gigi|toothbrush,body mist,\
            hair tonic|tonik rambut,sisir|comb,catokan|hair straightener,cukuran|shaver|alat cukur",
        traits: "anti ketombe|anti dandruff,rontok|hair fall,smooth|halus,keratin,argan,black shine,nourishing,fresh,\
            sport,musk,floral,oceanic,herbal,charcoal,sensitif|sensitive,whitening,men,strong,extra,active,cool,\
            repair,silky,classic",
        keywords: "rambut|hair,perawatan|treatment,pria|men,wanita|women,wangi|harum,tahan lama,badan|body,mulut,\
            salon,kering rusak,mandi,segar,isi ulang,travel size,keramas,lebat",
        axes: &[Volume, Flavour, Name, Weight],
        coded: 10,
        branded: 94,
        shapes: &[Bottle, Pump, Tube, Spray],
    },
    Category {
        weight: 12,
        nouns: "gamis|dress muslim,dress|terusan,blouse|blus,kaos wanita|tshirt wanita|women tshirt,tunik|tunic,\
            rok|skirt,celana kulot|kulot,cardigan|kardigan,piyama|pajamas|baju tidur,daster,outer,kebaya,setelan|one set,\
            kemeja wanita|women shirt,sweater wanita,jumpsuit,legging|celana legging,bra|bh,celana dalam wanita|panties,\
            hijab|jilbab|kerudung,pashmina,bergo,mukena|mukenah,khimar,ciput",
        traits: "lengan panjang|long sleeve,lengan pendek|short sleeve,polos|plain,motif bunga|floral,kotak|plaid,\
            garis|stripe,rayon,katun|cotton,jersey,moscrepe,wolfis,voal,ceruti,sifon|chiffon,brokat|lace,busui,\
            oversize,crop,rumbai,plisket|pleated,renda,premium,bordir|embroidery,linen,satin,instan|instant,\
            segi empat|square,syari,anti kusut,tebal,adem",
        keywords: "wanita|women|cewek,muslimah|muslim,baju|pakaian,fashion,kekinian|ootd,pesta|party,lebaran,\
            korean style|korea,remaja,ibu hamil,casual|santai,atasan|top,kondangan,seragam,set,casual,kerja,harian|daily,kuliah",
        axes: &[Colour, Fit, Name, Colour],
        coded: 18,
        branded: 45,
        shapes: &[Dress, Shirt, Scarf, Trousers],
    },
    Category {
        weight: 9,
        nouns: "kaos pria|tshirt pria|men tshirt,kemeja pria|men shirt|kemeja,celana chino|chino,celana jeans|jeans,\
            jaket|jacket,hoodie|jaket hoodie,celana pendek|short pants|boxer,polo shirt|kaos polo,sarung,baju koko|koko,\
            celana training|jogger,topi|cap|hat,ikat pinggang|belt|gesper,kaos kaki|socks,dasi,celana cargo|cargo,\
            rompi|vest,celana dalam pria|men underwear",
        traits: "polos|plain,slim fit,lengan panjang|long sleeve,lengan pendek|short sleeve,distro,katun combed|cotton combed,\
            stretch|melar,kotak|flannel,denim,parasut,fleece,kanvas|canvas,motor,sablon|print,vintage,bordir,standar,\
            waterproof,tebal,regular,ripped|sobek,kulit|leather,batik,outdoor,army,reversible",
        keywords: "pria|men|cowok,baju,fashion,keren,distro bandung|bandung,unisex,dewasa,santai|casual,kerja|formal,olahraga|sport,\
            gym,murah,outdoor,seragam,remaja,band,gaming",
        axes: &[Colour, Fit, Name, Colour],
        coded: 20,
        branded: 50,
        shapes: &[Shirt, Trousers, Hat, Shirt],
    },
    Category {
        weight: 6,
        nouns: "sepatu|shoes,sneakers|sepatu sneakers,sandal|sendal,sepatu flat|flatshoes|flat shoes,high heels|heels,\
            wedges,sandal jepit|flip flop,sepatu boots|boots,sepatu slip on|slip on,sepatu olahraga|running shoes,\
            sepatu pantofel|pantofel|loafer,sandal gunung,sepatu anak|kids shoes,sepatu futsal,slop|sandal slop,kaos kaki",
        traits: "kanvas|canvas,kulit|leather,suede,karet|rubber,casual,tali,velcro|perekat,anti slip,empuk,tinggi 5cm,\
            glitter,bludru,jelly,led,tebal,ringan|lightweight,low cut,high top,vintage,platform,karakter,rajut|knit",
        keywords: "wanita|women,pria|men,anak|kids,sekolah|school,kerja,pesta,jalan,remaja,fashion,korea,santai,unisex,olahraga,\
            kaki,gaya,import",
        axes: &[Colour, Fit, Code, Colour],
        coded: 45,
        branded: 60,
        shapes: &[Shoe, Shoe, Shoe, Box],
    },
    Category {
        weight: 7,
        nouns: "tas selempang|sling bag|slingbag,tas ransel|backpack|ransel,dompet|wallet,tas tangan|hand bag|handbag,\
            tote bag|totebag,tas pinggang|waist bag|waistbag,clutch,koper|suitcase,pouch,tas laptop|laptop bag,\
            tas sekolah|school bag,tas bahu|shoulder bag,dompet kartu|card holder,tas belanja|shopping bag,tas mini|mini bag",
        traits: "kulit|leather,kanvas|canvas,anti air|waterproof,rantai|chain,mini,jumbo,lipat|foldable,anti maling|anti theft,\
            usb,2in1|2 in 1,jelly,croco,rajut|knit,serut|drawstring,polos|plain,bulu|fur,karakter,transparan,vintage,\
            multifungsi|multifunction,pu leather,nylon,resleting",
        keywords: "wanita|women,pria|men,tas|bag,fashion,kekinian,kuliah,kerja,pesta,sekolah,travel|traveling,batam,import,korea,\
            branded,murah,jalan,selempang,remaja",
        axes: &[Colour, Name, Code, Colour],
        coded: 40,
        branded: 55,
        shapes: &[Bag, Backpack, Wallet],
    },
    Category {
        weight: 5,
        nouns: "jam tangan|watch|arloji,jam digital|digital watch,kalung|necklace,gelang|bracelet,cincin|ring,\
            anting|earrings,kacamata|sunglasses|glasses,jepit rambut|hair clip,bando|headband,ikat rambut|scrunchie,\
            bros|brooch,smartwatch|jam pintar,tali jam|watch strap,kacamata baca,gelang kaki|anklet,peniti",
        traits: "stainless|stainless steel,titanium,rantai,kulit|leather,karet|rubber,led,mutiara|pearl,kristal|crystal,\
            couple|pasangan,analog,anti karat,lapis emas|gold plated,polarized,anti radiasi|blueray,bulat|round,\
            oversized,vintage,magnet,elegan|elegant,simple,chronograph,tahan air|water resistant",
        keywords: "wanita|women,pria|men,aksesoris|accessories,fashion,kado|hadiah|gift,couple,anak,korea,perhiasan|jewelry,pesta,\
            keren,mewah,remaja,sport,box,hijab",
        axes: &[Colour, Code, Name, Code],
        coded: 50,
        branded: 60,
        shapes: &[Watch, Ring, Glasses],
    },
];
