"""What is known of the films: Info.txt, cases.csv, the published facts of MIAS."""
