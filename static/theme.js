// Runs before the first paint, so that a chosen theme or text size does not flash.
for (const name of ["theme", "read", "keys"]) {
  const value = localStorage.getItem(`winnow-${name}`)
  if (value) document.documentElement.dataset[name] = value
}
