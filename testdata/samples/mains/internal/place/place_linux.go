package place

const name = "Linux"
