"""What every card says whatever the build: limits, uses that are none, the law's own words, and how to cite.

The facts of the law were read in Regulation (EU) 2024/1689 and stand with their places in it; they are no advice.
"""

from __future__ import annotations

LIMITS = """\
- A label is how annotators read a picture. It is not what the person felt, and the two differ often.
- Annotators disagree: on the FERPlus test set one of ten agrees with the other nine on 70 % of the pictures.
  AffectNet has one annotator a picture. A model cannot be more right than its labels.
- The releases show mostly posed or searched-for expressions of adults, from the web and from films. Classes are far
  from even, and so are age, skin colour and culture; the tables above count classes, nobody's origin.
- A rationale is what a program wrote to explain an answer that agrees with the label. That it is fluent does not make
  it the reason, nor true of the picture; `claims`, `supported` and `contradicted` say what measurements bear out.
- Faces seen at an angle, covered, small or dark are rare, and what a model learns of them is thin."""

OUT_OF_SCOPE = """\
- Inferring what somebody feels, thinks or intends, or whether they tell the truth.
- Deciding about persons: hiring, work, schooling, credit, insurance, policing, borders, health.
- Watching people at work or in education, or without their knowledge.
- Recognising or tracking persons, or sorting them by origin, age, sex, belief or health.
- Presenting the output of a model as a measurement of emotion."""

AI_ACT = """\
What Regulation (EU) 2024/1689 (the AI Act) says of systems built with such data. This is a list of facts with their
sources and no legal advice; ask a lawyer about your own case.

| what | where | from |
|---|---|---|
| AI that infers emotions of persons at work or in education is prohibited, medical and safety reasons excepted \
| Article 5(1)(f) | 2 February 2025 |
| Other emotion recognition systems are high-risk | Annex III, point 1(c) | 2 December 2027, to which it was moved |
| Persons exposed to an emotion recognition system must be told | Article 50(3) | 2 August 2026 |
| The notion is of inferring emotions or intentions from biometric data; detecting a readily apparent expression, \
gesture or movement is not in itself emotion recognition | Article 3(39), Recital 18 | |
| The scientific basis is in doubt: limited reliability, lack of specificity, limited generalisability \
| Recital 44 | |

Source: <https://eur-lex.europa.eu/eli/reg/2024/1689/oj>."""

GATE = (
    "The pictures behind these rows show people, under terms that their releases set. By asking for access you state"
    " that you will keep to these terms (LICENSE.md), will not try to recognise the persons shown, and will not use the"
    " data to infer emotions of persons at work or in education, which Article 5(1)(f) of Regulation (EU) 2024/1689"
    " prohibits."
)

UNIFER = """\
@article{zhang2025rethinking,
  title         = {Rethinking Facial Expression Recognition in the Era of Multimodal Large Language Models: Benchmark,
                   Datasets, and Beyond},
  author        = {Zhang, Fan and Li, Haoxuan and Qian, Shengju and Wang, Xin and Lian, Zheng and Wu, Hao and
                   Zhu, Zhihong and Gao, Yuan and Li, Qiankun and Zheng, Yefeng and Lin, Zhouchen and Heng, Pheng-Ann},
  eprint        = {2511.00389},
  archivePrefix = {arXiv},
  year          = {2025},
  note          = {UniFER: the questions and the form of the data follow it}
}"""
