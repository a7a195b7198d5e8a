document.querySelectorAll(".command button").forEach(button => button.addEventListener("click", async () => {
  const code = button.parentElement.querySelector("code");
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Selected";  // the page may not write to the clipboard: the user copies
  }
}));
const unfold = () => {
  const section = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  section?.querySelector(":scope > details")?.setAttribute("open", "");
};
addEventListener("hashchange", unfold);
unfold();
