"""Lines for espeak-ng to speak: plain sentences of our own, in many languages."""

# ruff: noqa: RUF001

import io
import subprocess

import numpy as np
import soundfile
from numpy.typing import NDArray

VARIANTS = (
    *("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "klatt2"),
    *("klatt4", "Annie", "belinda", "david", "gustave", "linda", "michael", "norbert", "steph"),
)
SENTENCES: dict[str, tuple[str, ...]] = {
    "en-us": (
        "The train leaves at seven, and we are not ready.",
        "Put the lamp on the table, then close the window.",
        "I have seen this house before, but never at night.",
        "Who told you that the bridge was open again?",
    ),
    "en-gb": (
        "There is nothing left in the garden but stones.",
        "Would you wait for me by the river until noon?",
        "She kept every letter and answered none of them.",
        "It has rained for three days without a pause.",
    ),
    "de": (
        "Der Zug fährt um sieben, und wir sind noch nicht fertig.",
        "Hast du die Schlüssel auf dem Tisch gesehen?",
        "Gestern war der Himmel klar, heute regnet es wieder.",
    ),
    "fr-fr": (
        "Le train part à sept heures et nous ne sommes pas prêts.",
        "As-tu vu les clés sur la table du salon ?",
        "Hier le ciel était clair, aujourd'hui il pleut encore.",
    ),
    "es": (
        "El tren sale a las siete y no estamos listos.",
        "¿Has visto las llaves encima de la mesa?",
        "Ayer el cielo estaba claro, hoy llueve otra vez.",
    ),
    "it": (
        "Il treno parte alle sette e non siamo pronti.",  # codespell:ignore alle
        "Hai visto le chiavi sul tavolo della cucina?",
        "Ieri il cielo era sereno, oggi piove di nuovo.",
    ),
    "pt-br": (
        "O trem sai às sete e ainda não estamos prontos.",
        "Você viu as chaves em cima da mesa?",
        "Ontem o céu estava claro, hoje chove de novo.",
    ),
    "nl": (
        "De trein vertrekt om zeven uur en wij zijn niet klaar.",
        "Heb je de sleutels op de tafel gezien?",
        "Gisteren was de lucht helder, vandaag regent het weer.",
    ),
    "sv": (
        "Tåget går klockan sju och vi är inte färdiga.",
        "Har du sett nycklarna på bordet?",
        "I går var himlen klar, i dag regnar det igen.",
    ),
    "da": (
        "Toget kører klokken syv, og vi er ikke klar.",
        "Har du set nøglerne på bordet?",
        "I går var himlen klar, i dag regner det igen.",
    ),
    "fi": (
        "Juna lähtee kello seitsemän, emmekä ole valmiita.",
        "Oletko nähnyt avaimet pöydällä?",
        "Eilen taivas oli kirkas, tänään sataa taas.",
    ),
    "pl": (
        "Pociąg odjeżdża o siódmej, a my nie jesteśmy gotowi.",
        "Czy widziałeś klucze na stole?",
        "Wczoraj niebo było jasne, dzisiaj znowu pada.",
    ),
    "cs": (
        "Vlak odjíždí v sedm a my nejsme připraveni.",
        "Viděl jsi klíče na stole?",
        "Včera bylo nebe jasné, dnes zase prší.",
    ),
    "ru": (
        "Поезд уходит в семь, а мы ещё не готовы.",
        "Ты видел ключи на столе?",
        "Вчера небо было ясным, сегодня снова идёт дождь.",
    ),
    "uk": (
        "Потяг вирушає о сьомій, а ми ще не готові.",
        "Ти бачив ключі на столі?",
        "Вчора небо було ясним, сьогодні знову йде дощ.",
    ),
    "el": (
        "Το τρένο φεύγει στις επτά και δεν είμαστε έτοιμοι.",
        "Είδες τα κλειδιά πάνω στο τραπέζι;",
        "Χθες ο ουρανός ήταν καθαρός, σήμερα βρέχει πάλι.",
    ),
    "tr": (
        "Tren saat yedide kalkıyor ve hazır değiliz.",
        "Masanın üstündeki anahtarları gördün mü?",
        "Dün gökyüzü açıktı, bugün yine yağmur yağıyor.",
    ),
    "hu": (
        "A vonat hétkor indul, és még nem vagyunk készen.",
        "Láttad a kulcsokat az asztalon?",
        "Tegnap tiszta volt az ég, ma megint esik.",
    ),
    "ro": (
        "Trenul pleacă la șapte și nu suntem gata.",
        "Ai văzut cheile pe masă?",
        "Ieri cerul era senin, astăzi plouă din nou.",
    ),
    "id": (
        "Kereta berangkat jam tujuh dan kami belum siap.",
        "Apakah kamu melihat kunci di atas meja?",
        "Kemarin langit cerah, hari ini hujan lagi.",
    ),
    "sw": (
        "Treni inaondoka saa moja na hatuko tayari.",
        "Umeona funguo juu ya meza?",
        "Jana anga lilikuwa safi, leo mvua inanyesha tena.",
    ),
    "hi": (
        "गाड़ी सात बजे जाती है और हम तैयार नहीं हैं।",
        "क्या तुमने मेज़ पर चाबियाँ देखीं?",
        "कल आसमान साफ़ था, आज फिर बारिश हो रही है।",
    ),
    "cmn": (
        "火车七点出发，我们还没有准备好。",
        "你看见桌子上的钥匙了吗？",
        "昨天天很晴，今天又下雨了。",
    ),
    "ar": (
        "يغادر القطار في السابعة ونحن لسنا مستعدين.",
        "هل رأيت المفاتيح على الطاولة؟",
        "كانت السماء صافية أمس، واليوم تمطر من جديد.",
    ),
    "la": ("Hodie caelum clarum est, cras fortasse pluet.", "Vidistine claves in mensa?"),
    "eo": ("La trajno foriras je la sepa, kaj ni ne estas pretaj.", "Ĉu vi vidis la ŝlosilojn?"),
}


def speak(
    rng: np.random.Generator, language: str, variant: str
) -> tuple[NDArray[np.float64], int, str]:
    """Return an utterance of one to three sentences, its rate, and its text."""
    known = SENTENCES[language]
    n = int(rng.integers(1, min(3, len(known)) + 1))
    text = " ".join(known[k] for k in rng.permutation(len(known))[:n])
    settings = {
        "-v": f"{language}+{variant}",
        "-s": str(int(rng.integers(120, 215))),  # words per minute
        "-p": str(int(rng.integers(20, 80))),  # pitch, 0 to 99
        "-a": "90",
    }
    options = [word for pair in settings.items() for word in pair]
    done = subprocess.run(
        ["espeak-ng", *options, "--stdout", "--stdin"],
        input=text.encode(),
        capture_output=True,
        check=True,
    )
    head, data = done.stdout[:44], done.stdout[44:]  # a stream's header has no true length
    rate = int.from_bytes(head[24:28], "little")
    sound, _ = soundfile.read(
        io.BytesIO(data), samplerate=rate, channels=1, format="RAW", subtype="PCM_16"
    )
    return sound, rate, text
