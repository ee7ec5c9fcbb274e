// What goes wrong is said at the top of the page.

const $ = (id) => document.getElementById(id);

export function complain(error) {
  $("error").hidden = false;
  $("error").firstElementChild.textContent = error.message;
}

// Wraps what a person asks for: the last complaint goes, and a new error is shown.
export const asked = (work) => async (event) => {
  $("error").hidden = true;
  try {
    await work(event);
  } catch (error) {
    complain(error);
  }
};
