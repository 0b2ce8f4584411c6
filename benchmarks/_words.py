"""Sentences in German, English and French that mean the same, put together from a few hundred words."""

from __future__ import annotations

import random


def sentence(numbers: random.Random, *languages: str) -> tuple[str, ...]:
    """A time, a main clause and mostly a second one, in each of the languages."""
    time, number = numbers.choice(_TIMES), numbers.randint(2, 1999)
    clauses = [[numbers.choice(part) for part in (_SUBJECTS, _VERBS, _OBJECTS)] for _ in range(2)]
    link = numbers.choice(_LINKS) if numbers.random() < 0.8 else None
    sides = []
    for language in languages:
        order = ("de", "en", "fr").index(language)
        (subject, verb, object_), (other, other_verb, other_object) = (
            [words[order] for words in clause] for clause in clauses
        )
        begin = time[order].format(number)
        text = f"{begin} {verb} {subject} {object_}" if language == "de" else f"{begin} {subject} {verb} {object_}"
        if link:
            late = language == "de"
            rest = f"{other} {other_object} {other_verb}" if late else f"{other} {other_verb} {other_object}"
            text += f"{link[order] if link[order][0] == ',' else ' ' + link[order]} {rest}"
        sides.append(text + ".")
    return tuple(sides)


def _table(rows: str) -> list[tuple[str, ...]]:
    return [tuple(cell.strip() for cell in row.split("|")) for row in rows.strip().splitlines()]


_TIMES = _table("""
Im Jahr {} | In the year {} | En l'an {}
Vor {} Tagen | {} days ago | Il y a {} jours
Nach {} Wochen | After {} weeks | Après {} semaines
Seite {} zufolge | According to page {} | Selon la page {}
Am Ende von Kapitel {} | At the end of chapter {} | À la fin du chapitre {}
Mit Zug {} | With train {} | Avec le train {}
In Haus Nummer {} | In house number {} | Dans la maison numéro {}
Für {} Mark | For {} marks | Pour {} marks
Zum Glück | Fortunately | Heureusement
An jenem Morgen | That morning | Ce matin-là
Kurz vor Mitternacht | Shortly before midnight | Peu avant minuit
Wie immer im Herbst | As always in autumn | Comme toujours en automne
Ohne ein Wort | Without a word | Sans un mot
Trotz des Regens | Despite the rain | Malgré la pluie
""")
_LINKS = _table("""
, weil | because | parce que
, obwohl | although | bien que
, nachdem | after | après que
, während | while | pendant que
, bevor | before | avant que
, sobald | as soon as | dès que
, damals wie heute, wenn | , then as now, when | , hier comme aujourd'hui, quand
""")
_SUBJECTS = _table("""
der alte Gärtner | the old gardener | le vieux jardinier
die junge Lehrerin | the young teacher | la jeune institutrice
ein Nachbar aus dem dritten Stock | a neighbour from the third floor | un voisin du troisième étage
der Kapitän des Schiffes | the captain of the ship | le capitaine du navire
meine Großmutter | my grandmother | ma grand-mère
das Kind mit dem roten Mantel | the child with the red coat | l'enfant au manteau rouge
der Bürgermeister von Lübeck | the mayor of Lübeck | le maire de Lübeck
eine Gruppe von Studenten | a group of students | un groupe d'étudiants
der Uhrmacher | the watchmaker | l'horloger
die Ärztin vom Dienst | the doctor on duty | le médecin de garde
niemand außer ihrem Bruder | nobody but her brother | personne sauf son frère
der Verein der Imker | the beekeepers' association | l'association des apiculteurs
die Köchin des Gasthauses | the cook of the inn | la cuisinière de l'auberge
ein müder Briefträger | a tired postman | un facteur fatigué
der Dirigent | the conductor | le chef d'orchestre
die zweite Kommission | the second commission | la deuxième commission
ein Reisender aus Portugal | a traveller from Portugal | un voyageur du Portugal
der Förster | the forester | le garde forestier
die Tochter des Müllers | the miller's daughter | la fille du meunier
unser Hund | our dog | notre chien
die Zeitung | the newspaper | le journal
der neue Richter | the new judge | le nouveau juge
eine Forscherin aus Jena | a researcher from Jena | une chercheuse d'Iéna
der Schneider am Markt | the tailor at the market | le tailleur du marché
""")
_VERBS = _table("""
fand | found | trouva
vergaß | forgot | oublia
beschrieb | described | décrivit
verkaufte | sold | vendit
suchte | looked for | chercha
verlor | lost | perdit
bewunderte | admired | admira
zeichnete | drew | dessina
prüfte | examined | examina
erwähnte | mentioned | mentionna
verbarg | hid | cacha
reparierte | repaired | répara
erkannte | recognised | reconnut
bezahlte | paid for | paya
beobachtete | watched | observa
liebte | loved | aima
brauchte | needed | demanda
übersah | overlooked | négligea
""")
_OBJECTS = _table("""
den langen Brief aus Wien | the long letter from Vienna | la longue lettre de Vienne
die Karte der Insel | the map of the island | la carte de l'île
das kaputte Fahrrad | the broken bicycle | le vélo cassé
einen Korb voller Äpfel | a basket full of apples | un panier plein de pommes
den Schlüssel zum Keller | the key to the cellar | la clé de la cave
die Stimme am Telefon | the voice on the telephone | la voix au téléphone
das Ergebnis der Wahl | the result of the election | le résultat de l'élection
eine silberne Münze | a silver coin | une pièce d'argent
den Weg durch das Moor | the path across the moor | le chemin à travers la lande
die Rechnung des Klempners | the plumber's bill | la facture du plombier
das Haus hinter der Kirche | the house behind the church | la maison derrière l'église
ein Lied über den Winter | a song about winter | une chanson sur l'hiver
den Fehler im Vertrag | the mistake in the contract | l'erreur dans le contrat
die Brücke über den Fluss | the bridge over the river | le pont sur le fleuve
das Tagebuch ihres Onkels | her uncle's diary | le journal de son oncle
einen Vogel mit blauen Federn | a bird with blue feathers | un oiseau aux plumes bleues
den Bericht über die Ernte | the report on the harvest | le rapport sur la récolte
die Lampe im Flur | the lamp in the hall | la lampe dans le couloir
das Rezept für Pflaumenkuchen | the recipe for plum cake | la recette du gâteau aux prunes
eine Lösung für das Rätsel | a solution to the riddle | une solution à l'énigme
den Mantel aus grauer Wolle | the coat of grey wool | le manteau de laine grise
die Uhr am Bahnhof | the clock at the station | l'horloge de la gare
das Bild über dem Kamin | the picture above the fireplace | le tableau au-dessus de la cheminée
einen Platz am Fenster | a seat by the window | une place près de la fenêtre
""")
