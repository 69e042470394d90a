"""The alphabets of the published checkpoints of HTR-ConvText (arXiv 2512.05021)."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# The alphabets of the published checkpoints, in the order of their classes (blank first, not listed). They miss
# letters: LAM has no k and Y, READ2016 no X, HANDS-VNOnDB no w and Z.
PUBLISHED_CHARSETS = {
    "iam": " !\"#&'()*+,-./0123456789:;?" + _LETTERS,
    "read2016": (" ()+,-./0123456789:<>ABCDEFGHIJKLMNOPQRSTUVWYZ[]abcdefghijklmnopqrstuvwxyz¾Ößäöüÿāēōūȳ\u0304\u0308—"),
    "lam": (" !\"#%&'()+,-./0123456789:;=?ABCDEFGHIJKLMNOPQRSTUVWXZabcdefghijlmnopqrstuvwxyz|°·ÈÉàèéìòù–"),
    "vnondb": (
        ' !"%&()*,-./0123456789:;?ABCDEFGHIJKLMNOPQRSTUVWXYabcdefghijklmnopqrstuvxyz'
        "ÀÁÂÔÚÝàáâãèéêìíòóôõùúýĂăĐđĩũƠơƯưạẢảẤấẦầẩẫậắằẳẵặẹẻẽếỀềỂểễỆệỉịọỏỐốỒồổỗộớờỞởỡợụỦủứừửữựỳỷỹ"
    ),
}
