"""The numbers themselves: plain functions of arrays, equal to the released scripts where those define the metric."""
