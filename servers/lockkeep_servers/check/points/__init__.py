"""One file a point; each looks at one promise and writes down what it saw."""
