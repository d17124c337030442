"""What fixtures/ccda/bench-ccd-150k.xml says of its invented patient, as rows that make_big_ccd.py reads."""

from __future__ import annotations

from ccd_parts import Code

PROBLEMS: list[tuple[str, str, str, str, str, str]] = [
    ("59621000", "Essential hypertension", "I10", "Essential (primary) hypertension", "20040318", ""),
    ("44054006", "Diabetes mellitus type 2", "E11.9", "Type 2 diabetes mellitus without complications", "201109", ""),
    ("84114007", "Heart failure", "I50.9", "Heart failure, unspecified", "20190722", ""),
    ("195967001", "Asthma", "J45.909", "Unspecified asthma, uncomplicated", "1963", ""),
    ("233604007", "Pneumonia", "J18.9", "Pneumonia, unspecified organism", "20180204", "20180312"),
    ("40930008", "Hypothyroidism", "E03.9", "Hypothyroidism, unspecified", "20150611", ""),
    ("22298006", "Myocardial infarction", "I21.3", "ST elevation myocardial infarction", "20170930", "20171104"),
    ("194828000", "Angina", "I20.9", "Angina pectoris, unspecified", "20160815", ""),
    ("36971009", "Sinusitis", "J32.9", "Chronic sinusitis, unspecified", "202303", ""),
    ("32398004", "Bronchitis", "J40", "Bronchitis, not specified as acute or chronic", "20221118", "20221203"),
]
ALLERGIES: list[tuple[Code, Code, tuple[str, str], Code, str]] = [
    (
        ("rx", "70618", "Penicillin"),
        ("sct", "416098002", "Allergy to drug"),
        ("247472004", "Hives"),
        ("sct", "6736007", "Moderate"),
        "1974",
    ),
    (
        ("rx", "2670", "codeine"),
        ("sct", "59037007", "Drug intolerance"),
        ("422587007", "Nausea"),
        ("sct", "255604002", "Mild"),
        "199003",
    ),
    (
        ("sct", "762952008", "Peanut"),
        ("sct", "414285001", "Allergy to food"),
        ("56018004", "Wheezing"),
        ("sct", "24484000", "Severe"),
        "1956",
    ),
    (
        ("rx", "1191", "aspirin"),
        ("sct", "419511003", "Propensity to adverse reactions to drug"),
        ("267036007", "Shortness of breath"),
        ("sct", "24484000", "Severe"),
        "20091201",
    ),
]
MEDICATIONS: list[tuple[str, str, str, str, str, str, str]] = [
    ("314076", "lisinopril 10 MG Oral Tablet", "20040318", "", "24", "h", "One tablet each morning"),
    (
        "861007",
        "metformin hydrochloride 500 MG Oral Tablet",
        "20111003",
        "",
        "12",
        "h",
        "One tablet with breakfast and supper",
    ),
    ("866924", "metoprolol tartrate 25 MG Oral Tablet", "20190723", "", "12", "h", "One tablet twice a day"),
    ("243670", "aspirin 81 MG Oral Tablet", "20171105", "20200214", "1", "d", "One tablet a day, stopped for wheezing"),
    ("617312", "atorvastatin 10 MG Oral Tablet", "20171105", "", "1", "d", "One tablet in the evening"),
    (
        "313782",
        "acetaminophen 325 MG Oral Tablet",
        "20221118",
        "20221203",
        "6",
        "h",
        "Two tablets every six hours for fever",
    ),
    (
        "309114",
        "cephalexin 500 MG Oral Capsule",
        "20180204",
        "20180214",
        "8",
        "h",
        "One capsule three times a day for ten days",
    ),
    (
        "310965",
        "ibuprofen 200 MG Oral Tablet",
        "20130505",
        "20130519",
        "8",
        "h",
        "One tablet three times a day with food",
    ),
]
VACCINES: list[tuple[str, str, str, str]] = [
    ("140", "Influenza, seasonal, injectable, preservative free", "20231009", "KD-1182"),
    ("135", "Influenza, high dose seasonal", "20241014", "KD-2075"),
    ("133", "Pneumococcal conjugate PCV 13", "20160217", "PV-0034"),
    ("33", "pneumococcal polysaccharide vaccine, 23 valent", "20170308", "PV-0519"),
    ("113", "Td (adult) preservative free", "20120620", "TD-8810"),
]
PANELS: list[tuple[Code, str, list[tuple[str, str, str, str, str, str]]]] = [
    (
        ("ln", "57021-8", "CBC W Auto Differential panel - Blood"),
        "202502031012-0500",
        [
            ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "7.3", "10*3/uL", "4.5", "11.0"),
            ("789-8", "Erythrocytes [#/volume] in Blood by Automated count", "4.52", "10*6/uL", "4.30", "5.90"),
            ("718-7", "Hemoglobin [Mass/volume] in Blood", "13.1", "g/dL", "13.5", "17.5"),
            ("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "39.8", "%", "38.8", "50.0"),
            ("787-2", "MCV [Entitic volume] by Automated count", "88.0", "fL", "80.0", "100.0"),
            ("777-3", "Platelets [#/volume] in Blood by Automated count", "231", "10*3/uL", "150", "450"),
        ],
    ),
    (
        ("ln", "24331-1", "Lipid 1996 panel - Serum or Plasma"),
        "202502031012-0500",
        [
            ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "188", "mg/dL", "0", "200"),
            ("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", "41", "mg/dL", "40", "80"),
            ("2089-1", "Cholesterol in LDL [Mass/volume] in Serum or Plasma", "117", "mg/dL", "0", "130"),
            ("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma", "151", "mg/dL", "0", "150"),
        ],
    ),
    (
        ("ln", "24326-1", "Electrolytes 1998 panel - Serum or Plasma"),
        "202508181530-0400",
        [
            ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "139", "mmol/L", "136", "145"),
            ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "4.6", "mmol/L", "3.5", "5.1"),
            ("2075-0", "Chloride [Moles/volume] in Serum or Plasma", "103", "mmol/L", "98", "107"),
            ("2028-9", "Carbon dioxide, total [Moles/volume] in Serum or Plasma", "25.0", "mmol/L", "22.0", "29.0"),
        ],
    ),
    (
        ("ln", "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
        "20250818",
        [
            ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "7.20", "%", "4.00", "5.60"),
        ],
    ),
    (
        ("ln", "24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma"),
        "202411251445-0500",
        [
            ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "131", "mg/dL", "70", "99"),
            ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "1.30", "mg/dL", "0.70", "1.20"),
            ("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", "24", "mg/dL", "7", "20"),
            ("17861-6", "Calcium [Mass/volume] in Serum or Plasma", "9.4", "mg/dL", "8.5", "10.2"),
            ("1751-7", "Albumin [Mass/volume] in Serum or Plasma", "4.0", "g/dL", "3.5", "5.0"),
            (
                "1742-6",
                "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma",
                "27",
                "U/L",
                "7",
                "56",
            ),
        ],
    ),
]
VITALS: list[tuple[str, str, str]] = [
    ("8480-6", "Systolic blood pressure", "mm[Hg]"),
    ("8462-4", "Diastolic blood pressure", "mm[Hg]"),
    ("8867-4", "Heart rate", "/min"),
    ("9279-1", "Respiratory rate", "/min"),
    ("8310-5", "Body temperature", "Cel"),
    ("29463-7", "Body weight", "kg"),
    ("8302-2", "Body height", "cm"),
]
MEASURED: list[tuple[str, list[str]]] = [
    ("202408121015-0400", ["148", "91", "82", "16", "36.7", "88.4", "177"]),
    ("202411251430-0500", ["144", "88", "80", "18", "37.10", "87.9", "177"]),
    ("202502031000-0500", ["139", "86", "77", "15", "36.60", "87.1", "177"]),
    ("202508181515-0400", ["133", "82", "74", "14", "36.8", "85.9", "176.5"]),
]
