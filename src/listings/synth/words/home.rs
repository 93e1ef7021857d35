//! What is used, played with and eaten.

use super::{Axis::*, Category};
use crate::listings::synth::draw::Shape::*;

pub(super) const KINDS: &[Category] = &[
    Category {
        weight: 9,
        nouns: "case|casing|softcase,hardcase|hard case,tempered glass|anti gores,flip case|flip cover,\
            silikon case|silicone case,ring holder|ring stand,phone strap|gantungan hp,garskin|skin,\
            anti crack|anticrack,case armor|armor case,case glitter,case macaron,ultra thin case,pouch hp,kamera protector|lens protector",
        traits: "matte,bening|clear|transparan,slim,shockproof,karakter,motif|pattern,glow,full cover,magnetic|magnet,\
            leather|kulit,carbon,doff,3d,5d,9h,antibakteri,custom,premium,airbag,kartun|cartoon,marble,camera pro",
        keywords: "hp|handphone,casing,aksesoris hp,pelindung|protector,lucu|cute,cover,kesing,belakang|back,murah,all type|semua tipe,\
            cewek,cowok,couple,anti jatuh",
        axes: &[Phone, Phone, Colour],
        coded: 5,
        branded: 30,
        shapes: &[PhoneCase, PhoneCase, Box],
    },
    Category {
        weight: 10,
        nouns: "kabel data|usb cable|kabel charger,charger|adaptor charger|kepala charger,power bank|powerbank,\
            earphone|headset,headphone,speaker bluetooth|bluetooth speaker,mouse|mouse wireless,keyboard,flashdisk|flash disk,\
            kartu memori|memory card|micro sd,holder hp|phone holder,lampu led|led lamp,stop kontak|terminal listrik,baterai|battery,\
            tripod,ring light,kipas mini|mini fan|kipas angin mini,webcam,kabel hdmi|hdmi cable,modem|wifi router,senter|flashlight,\
            cctv|ip camera,microphone|mic,smart tv box|tv box",
        traits: "fast charging|quick charge,wireless|nirkabel,bluetooth 5.0,type c,micro usb,lightning,rgb,gaming,mini,portable,\
            3 in 1|3in1,stereo,bass,2.4a,10000mah,20000mah,recharge|isi ulang,waterproof,smart,magnetik|magnetic,super bright,\
            anti kusut,original,overcharge safe,usb 3.0,dual port,hd,lipat|foldable",
        keywords: "hp|handphone,laptop,komputer|pc,android,aksesoris,elektronik|electronic,meja,mobil,universal,garansi 1 tahun|1 tahun,\
            kantor,gaming,rumah,game,musik,karaoke,streaming",
        axes: &[Code, Colour, Length, Code],
        coded: 70,
        branded: 85,
        shapes: &[Gadget, Cable, Box, Gadget],
    },
    Category {
        weight: 8,
        nouns: "panci|pot,wajan|frying pan|penggorengan,pisau|knife,botol minum|water bottle|tumbler,gelas|mug|cup,piring|plate,\
            mangkok|bowl,sendok|spoon,kotak makan|lunch box,talenan|cutting board,blender,rice cooker|magic com,parutan|grater,\
            toples|jar|wadah,spatula|sutil,saringan|strainer,cetakan kue|cake mold,teko|kettle,timbangan dapur|kitchen scale,\
            rak bumbu|spice rack,celemek|apron,sarung tangan|gloves,pengupas|peeler,sedotan|straw",
        traits: "stainless|stainless steel,anti lengket|non stick,kaca|glass,plastik|plastic,keramik|ceramic,kayu|wood,silikon|silicone,\
            set,elektrik|electric,mini,jumbo,lipat,tahan panas|heat resistant,bpa free,serbaguna|multifungsi,tebal,marble,granit|granite,\
            vacuum,tutup,portable,2 in 1,karakter,gagang",
        keywords: "dapur|kitchen,masak|cooking,alat|tools,rumah tangga|household,kue|baking,makan,minum,rumah,ibu,restoran,cafe,souvenir,\
            murah,peralatan,bekal",
        axes: &[Colour, Length, Code, Pieces],
        coded: 35,
        branded: 60,
        shapes: &[Pan, Cup, Bottle, Box],
    },
    Category {
        weight: 8,
        nouns: "sprei|bed sheet|seprai,selimut|blanket,bantal|pillow,sarung bantal|pillow case,handuk|towel,karpet|rug|carpet,\
            gorden|curtain,keset|doormat,rak sepatu|shoe rack,gantungan baju|hanger,tempat sampah|trash bin,jam dinding|wall clock,\
            wallpaper dinding|wallpaper|wall sticker,lampu tidur|night lamp,sapu|broom,alat pel|mop|pel lantai,box penyimpanan|storage box|kotak,\
            taplak meja|table cloth,cermin|mirror,bunga plastik|artificial flower,meja lipat|folding table,kasur lipat,payung|umbrella,\
            dispenser sabun|soap dispenser",
        traits: "katun|cotton,motif bunga|floral,bulu|fur,polos|plain,karakter,waterproof|anti air,king size,queen size,single,lipat|foldable,\
            minimalis|minimalist,tebal|thick,jumbo,kayu|wood,plastik|plastic,microfiber,led,3d,vintage,susun 3|3 tier,otomatis|automatic,\
            serbaguna,shabby,tempel,halus|soft",
        keywords: "rumah|home,kamar|bedroom,dekorasi|decoration|dekor,ruang tamu|living room,mandi|bathroom,perlengkapan,anak,murah,kost,\
            hiasan,dinding|wall,kantor,organizer,lantai,cantik",
        axes: &[Colour, Length, Name, Length, Code],
        coded: 30,
        branded: 35,
        shapes: &[Cloth, Box, Lamp, Cup],
    },
    Category {
        weight: 9,
        nouns: "popok|diapers|popok bayi,susu formula|formula milk,botol susu|baby bottle|botol dot,baju bayi|baby clothes,bedak bayi|baby powder,\
            minyak telon|telon oil,selimut bayi|baby blanket,gendongan|baby carrier,tisu basah|wet wipes|tissue basah,jumper bayi|jumper|romper,\
            mainan bayi|baby toys,kaos kaki bayi|baby socks,topi bayi,sabun bayi|baby wash,bubur bayi|baby cereal,empeng|pacifier,celemek bayi|bib|slabber,\
            stroller|kereta bayi,setelan anak|kids set,kaos anak|kids tshirt,dress anak|kids dress,celana anak|kids pants",
        traits: "lembut|soft,motif lucu,karakter,katun|cotton,sni,isi banyak,anti bocor,newborn,hypoallergenic,organic|organik,lengan panjang|long sleeve,\
            lengan pendek|short sleeve,step 1,step 2,step 3,vitamin,plus,premium,perekat,pants|celana,rajut,dinosaurus|dino,unicorn,bear|beruang,kancing",
        keywords: "bayi|baby,anak|kids,balita|toddler,newborn,ibu|mom,perlengkapan bayi,laki laki|cowok|boy,perempuan|cewek|girl,lahiran,kado lahiran,\
            lucu,aman,import,harian",
        axes: &[Fit, Pieces, Weight, Colour, Volume, Name],
        coded: 15,
        branded: 70,
        shapes: &[Shirt, Bottle, Bag, Box],
    },
    Category {
        weight: 6,
        nouns: "boneka|doll|plush doll,mobil mobilan|toy car|mobil rc,brick|balok susun,puzzle,slime,robot|mainan robot,squishy,\
            mainan masak|kitchen toys,action figure|figure,bola|ball,magic cube|kubus ajaib,kartu|card game,drone,pistol air|water gun,\
            lilin mainan|play dough|clay,yoyo,kereta api|train set,miniatur|diecast,alat musik mainan|toy piano,papan tulis|drawing board,mainan edukasi|educational toys",
        traits: "jumbo,mini,kayu|wood,remote control,beruang|bear,kelinci|rabbit,unicorn,dinosaurus|dinosaur,edukasi|educational,lampu|led,musik|music,\
            set,magnet|magnetic,3x3,super hero|superhero,princess,hewan|animal,angka huruf|alphabet,karakter,glow in the dark,anti stress,bulu,wisuda",
        keywords: "mainan|toys,anak|kids,edukasi|education,lucu|cute,kado|gift|ulang tahun,laki laki|boy,perempuan|girl,montessori,murah,koleksi,sni,\
            balita,souvenir,hadiah,game",
        axes: &[Colour, Length, Name, Pieces, Code],
        coded: 30,
        branded: 40,
        shapes: &[Bear, ToyCar, Box, Ball],
    },
    Category {
        weight: 9,
        nouns: "kopi bubuk|ground coffee|kopi,keripik|chips|kripik,biskuit|biscuit|cookies,mie instan|instant noodle,susu bubuk|milk powder,\
            minyak goreng|cooking oil,beras|rice,sambal|chili sauce,teh|tea|teh celup,coklat|chocolate bar,madu|honey,permen|candy,\
            bumbu|seasoning|bumbu masak,kecap|soy sauce,sereal|cereal,sirup|syrup,abon|floss,kacang|peanut|nuts,kerupuk,dodol,selai|jam,\
            tepung|flour,gula aren|palm sugar,makaroni|macaroni,basreng,kurma|dates",
        traits: "bubuk|powder,instan|instant,asli,gurih,renyah|crispy,tanpa gula|sugar free,3in1,premium,halal,arabika|arabica,robusta,full cream,\
            low fat,organik|organic,level 5,super,crunchy,sachet,kaleng|can,pouch,botol|bottle,refill,khas bandung,khas medan,hitam|black,\
            putih|white",
        keywords: "makanan|food,minuman|drink,cemilan|snack|camilan,oleh oleh,enak|lezat,sarapan|breakfast,murah,diet,sehat|healthy,keluarga,kiloan,\
            jajanan,sembako,dapur,expired lama,buka puasa",
        axes: &[Weight, Flavour, Flavour, Pieces, Volume],
        coded: 3,
        branded: 85,
        shapes: &[Sachet, Can, Bottle, Jar, Box],
    },
    Category {
        weight: 5,
        nouns: "vitamin c|vit c,masker|masker medis|face mask|masker 3ply,hand sanitizer|pembersih tangan,obat herbal|herbal,kapsul|capsule,\
            minyak kayu putih|eucalyptus oil,suplemen|supplement,teh pelangsing|slimming tea,termometer|thermometer,koyo|patch,madu hutan,\
            propolis,habbatussauda,minyak ikan|fish oil,tisu antiseptik,korset|corset,timbangan badan|scale,balsem|balm,alat pijat|massager|pijat elektrik,\
            face shield",
        traits: "1000mg,500mg,3ply,kn95,earloop,anak|kids,dewasa,tablet,kapsul|capsule,cair|liquid,digital,infrared,herbal,original,extra,plus,\
            aloe vera,zinc,omega,sugar free,nano,antiseptik,hijab,duckbill,medis|medical",
        keywords: "kesehatan|health,imun|imunitas|daya tahan,diet,pelangsing|slimming,sehat,obat|medicine,tubuh|body,corona,anti virus,murah,\
            stamina,bpom,apotik,keluarga,sendi,asam urat",
        axes: &[Pieces, Weight, Volume, Flavour, Name],
        coded: 10,
        branded: 78,
        shapes: &[Jar, Box, Bottle, Sachet],
    },
    Category {
        weight: 6,
        nouns: "pulpen|ballpoint|pen,pensil warna|color pencil,buku tulis|notebook,binder,sticky notes,lakban|tape,lem|glue,spidol|marker,\
            penghapus|eraser,kertas|paper|kertas hvs,amplop|envelope,gunting|scissors,stiker|sticker|label,kado box|gift box|kotak kado,\
            pita|ribbon,balon|balloon,cat air|watercolor,planner|agenda,kalkulator|calculator,kantong plastik|plastic bag,bubble wrap,\
            undangan|invitation,lampu tumblr|fairy lights",
        traits: "a4,a5,f4,70gsm,80gsm,gel,warna warni|colorful,pastel,mini,karakter,custom,lucu|cute,foil,isi ulang|refill,0.5mm,dot|titik,\
            transparan|clear,glitter,angka|number,huruf|letter,kraft,hologram,permanen|permanent,double tape,tebal",
        keywords: "alat tulis|stationery|atk,sekolah|school,kantor|office,kado|gift,ulang tahun|birthday,dekorasi|decoration,packing,lucu,anak,\
            murah,craft|kerajinan,souvenir,pesta|party,online shop,hampers",
        axes: &[Colour, Pieces, Length, Code, Name],
        coded: 30,
        branded: 50,
        shapes: &[Stick, Book, Box, Cloth],
    },
    Category {
        weight: 7,
        nouns: "helm|helmet,spion|mirror motor,lampu motor|motor led,oli|oil mesin,sarung jok|cover jok,obeng|screwdriver,bor|drill|bor listrik,\
            tang|pliers,gembok|padlock,selang|hose,kunci set|wrench set,lem besi|epoxy,cover motor|sarung motor,jas hujan|raincoat,\
            pengharum mobil|car perfume,phone holder motor,pompa|pump,cat semprot|spray paint,makanan kucing|cat food,pasir kucing|cat litter,\
            kalung kucing|cat collar,makanan ikan|fish food,matras yoga|yoga mat,raket|racket,dumbbell|barbel,tenda|tent",
        traits: "universal,led,anti air|waterproof,stainless,set,mini,heavy duty,racing,rgb,hd,12v,24v,full face,half face,kitten,adult|dewasa,tuna,\
            salmon,besi|iron,karet|rubber,elastis,listrik|electric,carbon,chrome,tebal,import",
        keywords: "motor|motorcycle,mobil|car,aksesoris|accessories,alat|tools,bengkel,variasi,hewan|pet,kucing|cat,olahraga|sport,rumah,sepeda|bike,\
            outdoor,camping,matic,fitness,murah",
        axes: &[Code, Colour, Weight, Volume, Length],
        coded: 45,
        branded: 70,
        shapes: &[Gadget, Can, Bag, Box, Ball],
    },
];
