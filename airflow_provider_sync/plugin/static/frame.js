// Airflow shows these pages in a frame that may not move its parent. A link that leaves them is followed by the parent itself.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-outside]");
  if (link === null || window.parent === window) {
    return;
  }
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  if (event.ctrlKey || event.metaKey) {
    outside.target = "_blank";
  }
  outside.click();
});

document.documentElement.classList.toggle("framed", window.parent !== window);
