// "Copy" beside a text: [data-copy] names its id. Without this script the text can be selected by a click.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false
  const words = button.firstChild.textContent
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy)
    getSelection().selectAllChildren(text)
    try {
      await navigator.clipboard.writeText(text.textContent)
    } catch {
      document.execCommand("copy") // pages without HTTPS have no clipboard of their own
    }
    button.firstChild.textContent = "Copied"
    setTimeout(() => { button.firstChild.textContent = words }, 2000)
  })
}
