"""The report's sections: one module of numbers, a finding and charts each, and one template beside it."""
