"""The winner of a study at work: pictures in, digits out; its folder `model/`; its export."""
