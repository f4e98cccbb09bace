"""Is a problem in English? By its script and its most frequent words."""

import re

_MATHEMATICS = re.compile(
    r"\[asy\].*?(?:\[/asy\]|\Z)|\$\$.*?\$\$|\$[^$]*\$|\\\(.*?\\\)|\\\[.*?\\\]|```.*?```|\\[A-Za-z]+",
    re.DOTALL,
)
_WORD = re.compile(r"[^\W\d_]{2,}")  # one letter is more often a variable
_ENGLISH = "english"
_LEAST_LATIN = 0.9
# Words that mathematics problems are full of, so that a short one is told too.
_FREQUENT = {
    _ENGLISH: "the of and is to in that it for with as are what how find if by be which this from "
    "an at on many much each when has have does than then or let number where can will compute "
    "evaluate simplify solve determine was were there you your write given suppose its their "
    "into following return",
    "Spanish": "el la los las de que y en un una es por con para si cuál cuántos cuántas cuánto "
    "cuánta son del al qué se su como más calcula calcular halla resuelve número cada tiene hay",
    "Portuguese": "o os as de que e em um uma é por com para se qual quantos quantas quanto são do "
    "da dos das no na ao não mais calcule resolva encontre número cada tem há seu",
    "French": "le la les de des et en un une est par avec pour si quel quelle combien sont du au "
    "que qui se dans sur il elle plus calculer calculez trouver résoudre nombre chaque ce sa",
    "German": "der die das und ist in ein eine von mit für wenn wie viele was sind den dem zu auf "
    "des bei er sie es berechne bestimme finde löse zahl jede hat wird nicht",
    "Italian": "il lo la i gli le di che e in un una è per con se quale quanti quante quanto sono "
    "del della nel al dei più calcola trova risolvi numero ogni ha si da",
    "Dutch": "de het een en is in van met voor als hoe hoeveel wat zijn op te bij hij zij er dat "
    "bereken bepaal vind los getal elke heeft wordt niet",
    "Polish": "i w z na do jest się że ile jaka jaki oblicz znajdź rozwiąż liczba każdy ma o dla "
    "od po nie są to",
    "Swedish": "och är i en ett av att som för med hur många vad den det på till beräkna hitta lös "
    "tal varje har inte om",
    "Danish": "og er i en et af at som for med hvor mange hvad den det på til beregn find løs tal "
    "hver har ikke hvis",
    "Turkish": "ve bir bu kaç ne nedir için ile olan olarak hesapla bul çöz sayı her kadar değeri "
    "kaçtır ise",
    "Indonesian": "dan yang di dari untuk dengan adalah berapa jika nilai hitung tentukan carilah "
    "bilangan setiap banyak pada ini itu",
    "Czech": "a v na je se že kolik jaký jaká vypočítejte najděte vyřešte číslo každý má pro z do "
    "od není jsou",
    "Romanian": "și în de la un o este cu pentru dacă câte câți care sunt din calculați găsiți "
    "numărul fiecare are nu",
    "Hungarian": "a az és egy hány mennyi mi hogy van ha számítsd határozd oldd szám minden nem",
    "Finnish": "ja on se että kuinka monta mikä laske etsi ratkaise luku jokainen ei jos joka",
}
_WORDS = {language: frozenset(words.split()) for language, words in _FREQUENT.items()}


def is_in_english(text: str) -> bool:
    """Tell whether a problem is in English; one without words, such as "3 * 4 = ?", is.

    Nine of ten letters must be ASCII, and no other language may have more of its frequent words in
    the text.
    """
    plain = _MATHEMATICS.sub(" ", text)
    letters = [letter for letter in plain if letter.isalpha()]
    if sum(map(str.isascii, letters)) < _LEAST_LATIN * len(letters):
        return False
    words = _WORD.findall(plain.lower())
    hits = {language: sum(w in known for w in words) for language, known in _WORDS.items()}
    english = hits.pop(_ENGLISH)
    return english >= max(hits.values())
