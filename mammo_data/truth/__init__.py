"""The ground truth of films: Info.txt, cases.csv, the published facts of MIAS."""
